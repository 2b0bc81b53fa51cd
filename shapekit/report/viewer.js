"use strict";
// The spine in 3-D: WebGL 2 without a library. openViewer() gives null where WebGL 2 is missing; the page reads well without it.

const shader = {
  vertex: `#version 300 es
    in vec3 position; in vec3 normal; in vec3 colour;
    uniform mat3 view; uniform vec3 centre; uniform vec4 scale; uniform vec2 shift;
    out vec3 n; out vec3 tint;
    void main() {
      vec3 p = view * (position - centre);
      n = view * normal; tint = colour;
      gl_Position = vec4(p.xy * scale.xy + shift, -p.z * scale.z, 1.0);
    }`,
  fragment: `#version 300 es
    precision highp float;
    in vec3 n; in vec3 tint;
    uniform vec3 flat_; uniform vec3 accent; uniform float mapped, picked, shell, id;
    out vec4 result;
    void main() {
      if (id > 0.0) { result = vec4(id / 255.0, 0.0, 0.0, 1.0); return; }
      vec3 unit = normalize(n);
      float facing = abs(unit.z), rim = 1.0 - facing;
      if (shell > 0.0) { float a = 0.10 + 0.75 * rim * rim; result = vec4(flat_ * a, a); return; }
      float light = 0.42 + 0.48 * max(dot(unit, normalize(vec3(-0.35, 0.55, 0.75))), 0.0) + 0.30 * max(unit.z, 0.0);
      vec3 base = mix(flat_, tint, mapped) * light + 0.07 * pow(max(dot(unit, normalize(vec3(-0.2, 0.35, 0.92))), 0.0), 24.0);
      result = vec4(mix(base, accent, picked * smoothstep(0.50, 0.80, rim)), 1.0);
    }`,
};

async function unpackPayload(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function readWords(bytes, at, count) {
  const words = new Uint16Array(count);
  for (let n = 0, last = 0; n < count; n++) words[n] = last = last + bytes[at + n] + (bytes[at + count + n] << 8);
  return words;
}

function readSurface(bytes, told, deficitColour) {
  const { vertices, triangles, low, step } = told;
  const planes = readWords(bytes, told.at, 3 * vertices);
  const faces = readWords(bytes, told.at + 6 * vertices, 3 * triangles);
  const position = new Float32Array(3 * vertices), normal = new Float32Array(3 * vertices), colour = new Uint8Array(3 * vertices);
  for (let n = 0; n < vertices; n++) for (let k = 0; k < 3; k++) position[3 * n + k] = low[k] + step[k] * planes[k * vertices + n];
  for (let f = 0; f < faces.length; f += 3) {
    const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
    const ux = position[b] - position[a], uy = position[b + 1] - position[a + 1], uz = position[b + 2] - position[a + 2];
    const vx = position[c] - position[a], vy = position[c + 1] - position[a + 1], vz = position[c + 2] - position[a + 2];
    const cross = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normal[corner + k] += cross[k];
  }
  if (deficitColour) {
    const missing = new Int16Array(readWords(bytes, told.at + 6 * vertices + 6 * triangles, vertices).buffer);
    for (let n = 0; n < vertices; n++) colour.set(deficitColour(missing[n] / 1000), 3 * n);
  }
  return { position, normal, colour, faces };
}

function openViewer(canvas, labels, bytes, vertebrae, style, onPick) {
  const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
  if (!gl) return null;
  const surfaces = vertebrae.map((one) => ({
    actual: readSurface(bytes, one.actual, null),
    expected: one.expected && readSurface(bytes, one.expected, style.deficit),
  }));
  const box = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
  for (const one of surfaces) {
    const p = one.actual.position, own = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
    for (let n = 0; n < p.length; n++) {
      own[0][n % 3] = Math.min(own[0][n % 3], p[n]); own[1][n % 3] = Math.max(own[1][n % 3], p[n]);
    }
    one.middle = own[0].map((low, k) => (low + own[1][k]) / 2);
    one.half = own[0].map((low, k) => (own[1][k] - low) / 2);
    for (let k = 0; k < 3; k++) { box[0][k] = Math.min(box[0][k], own[0][k]); box[1][k] = Math.max(box[1][k], own[1][k]); }
  }
  const centre = box[0].map((low, k) => (low + box[1][k]) / 2), extent = box[0].map((low, k) => box[1][k] - low);
  const reach = Math.hypot(...extent) / 2 + 20;
  const start = { turn: 0.9, lift: 0.12, zoom: 1, panX: 0, panY: 0 };
  const state = { ...start, picked: -1, deficit: false, shell: true };
  let program, uniform, idBuffer, idTexture, idDepth, idSize = "", asked = false;

  function build() {
    program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, shader.vertex], [gl.FRAGMENT_SHADER, shader.fragment]]) {
      const part = gl.createShader(kind);
      gl.shaderSource(part, source); gl.compileShader(part); gl.attachShader(program, part);
    }
    ["position", "normal", "colour"].forEach((name, place) => gl.bindAttribLocation(program, place, name));
    gl.linkProgram(program);
    uniform = Object.fromEntries("view centre scale shift flat_ accent mapped picked shell id".split(" ").map((name) => [name, gl.getUniformLocation(program, name)]));
    for (const surface of surfaces.flatMap((one) => [one.actual, one.expected]).filter(Boolean)) {
      surface.array = gl.createVertexArray();
      gl.bindVertexArray(surface.array);
      [[surface.position, gl.FLOAT, false], [surface.normal, gl.FLOAT, false], [surface.colour, gl.UNSIGNED_BYTE, true]].forEach(([data, kind, unit], place) => {
        gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
        gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
        gl.enableVertexAttribArray(place); gl.vertexAttribPointer(place, 3, kind, unit, 0, 0);
      });
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, surface.faces, gl.STATIC_DRAW);
    }
    idBuffer = gl.createFramebuffer(); idTexture = gl.createTexture(); idDepth = gl.createRenderbuffer(); idSize = "";
  }

  function basis() {
    const [s, c, sl, cl] = [Math.sin(state.turn), Math.cos(state.turn), Math.sin(state.lift), Math.cos(state.lift)];
    return { right: [-c, -s, 0], up: [s * sl, -c * sl, cl], back: [-s * cl, c * cl, sl] };
  }

  function pixelsPerMm() {  // the whole spine fits at zoom 1, with room for the labels
    const across = Math.hypot(extent[0], extent[1]) + 24;
    return state.zoom * Math.min(canvas.clientHeight / (extent[2] + 24), Math.max(canvas.clientWidth - 84, 80) / across);
  }

  function aim() {
    const { right, up, back } = basis(), mm = pixelsPerMm();
    gl.useProgram(program);
    gl.uniformMatrix3fv(uniform.view, false, [right[0], up[0], back[0], right[1], up[1], back[1], right[2], up[2], back[2]]);
    gl.uniform3fv(uniform.centre, centre);
    gl.uniform4f(uniform.scale, (2 * mm) / canvas.clientWidth, (2 * mm) / canvas.clientHeight, 1 / reach, 1);
    gl.uniform2f(uniform.shift, (2 * state.panX - 36) / canvas.clientWidth, (-2 * state.panY) / canvas.clientHeight);
    gl.enable(gl.DEPTH_TEST); gl.depthMask(true); gl.disable(gl.BLEND); gl.disable(gl.CULL_FACE);
    gl.viewport(0, 0, canvas.width, canvas.height);
  }

  function paint(surface) {
    gl.bindVertexArray(surface.array);
    gl.drawElements(gl.TRIANGLES, surface.faces.length, gl.UNSIGNED_SHORT, 0);
  }

  const solid = (one) => (state.deficit && one.expected) || one.actual;

  function draw() {
    asked = false;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height || gl.isContextLost()) return;
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    aim();
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniform1f(uniform.id, 0); gl.uniform1f(uniform.shell, 0);
    gl.uniform3fv(uniform.accent, style.accent());
    surfaces.forEach((one, n) => {
      gl.uniform3fv(uniform.flat_, style.colour(n));
      gl.uniform1f(uniform.mapped, solid(one) === one.expected ? 1 : 0);
      gl.uniform1f(uniform.picked, n === state.picked ? 1 : 0);
      paint(solid(one));
    });
    if (state.shell && !state.deficit) {
      gl.enable(gl.BLEND); gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA); gl.depthMask(false); gl.enable(gl.CULL_FACE);
      gl.uniform1f(uniform.shell, 1); gl.uniform3fv(uniform.flat_, style.shell());
      for (const one of surfaces) if (one.expected) paint(one.expected);
      gl.depthMask(true);
    }
    label();
  }

  function label() {
    const { right, up, back } = basis(), mm = pixelsPerMm();
    surfaces.forEach((one, n) => {
      const from = one.middle.map((value, k) => value - centre[k]), dot = (axis) => axis[0] * from[0] + axis[1] * from[1] + axis[2] * from[2];
      const side = Math.abs(right[0]) * one.half[0] + Math.abs(right[1]) * one.half[1];
      const x = canvas.clientWidth / 2 - 18 + state.panX + mm * (dot(right) + side) + 8, y = canvas.clientHeight / 2 + state.panY - mm * dot(up);
      labels[n].style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translateY(-50%)`;
      labels[n].classList.toggle("picked", n === state.picked);
    });
  }

  function refresh() { if (!asked) { asked = true; requestAnimationFrame(draw); } }

  function bodyAt(x, y) {  // every body is painted in its number's colour, and the pixel under the pointer is read
    const size = `${canvas.width}x${canvas.height}`;
    gl.bindFramebuffer(gl.FRAMEBUFFER, idBuffer);
    if (size !== idSize) {
      gl.bindTexture(gl.TEXTURE_2D, idTexture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, canvas.width, canvas.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
      gl.bindRenderbuffer(gl.RENDERBUFFER, idDepth);
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT16, canvas.width, canvas.height);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, idTexture, 0);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, idDepth);
      idSize = size;
    }
    aim();
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    surfaces.forEach((one, n) => { gl.uniform1f(uniform.id, n + 1); paint(solid(one)); });
    const pixel = new Uint8Array(4), ratio = canvas.width / canvas.clientWidth;
    gl.readPixels(Math.round(x * ratio), canvas.height - 1 - Math.round(y * ratio), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    return pixel[0] - 1;
  }

  function turn(across, down) {
    state.turn -= across; state.lift = Math.min(1.55, Math.max(-1.55, state.lift + down));
    refresh();
  }
  function zoom(factor) { state.zoom = Math.min(12, Math.max(0.5, state.zoom * factor)); refresh(); }
  function pan(x, y) { state.panX += x; state.panY += y; refresh(); }

  const fingers = new Map();
  let moved = 0, spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, [event.clientX, event.clientY]); moved = spread = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const [x, y] = [event.clientX - last[0], event.clientY - last[1]];
    fingers.set(event.pointerId, [event.clientX, event.clientY]); moved += Math.abs(x) + Math.abs(y);
    if (fingers.size === 1) return event.shiftKey || event.buttons & 6 ? pan(x, y) : turn(x * 0.009, y * 0.009);
    const [one, other] = [...fingers.values()], now = Math.hypot(one[0] - other[0], one[1] - other[1]);
    if (spread) zoom(now / spread);
    spread = now; pan(x / 2, y / 2);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (fingers.size === 1 && moved < 5) {
      const frame = canvas.getBoundingClientRect();
      onPick(bodyAt(event.clientX - frame.left, event.clientY - frame.top));
    }
    fingers.delete(event.pointerId);
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("wheel", (event) => {  // the page scrolls on, unless the spine has been clicked
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault(); zoom(Math.exp(-event.deltaY * 0.0012));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => turn(-0.12, 0), ArrowRight: () => turn(0.12, 0), ArrowUp: () => turn(0, -0.12), ArrowDown: () => turn(0, 0.12),
    "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), Home: () => look("reset"), Escape: () => onPick(-1),
    PageUp: () => onPick(Math.max(state.picked - 1, 0)), PageDown: () => onPick(Math.min(state.picked + 1, surfaces.length - 1)),
  };
  canvas.addEventListener("keydown", (event) => {
    if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); keys[event.key](); }
  });
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => { build(); refresh(); });
  new ResizeObserver(refresh).observe(canvas);

  const views = { front: [0, 0], left: [Math.PI / 2, 0], back: [Math.PI, 0], right: [-Math.PI / 2, 0], reset: [start.turn, start.lift] };
  function look(name) { Object.assign(state, start, { turn: views[name][0], lift: views[name][1] }); refresh(); }
  build();
  draw();
  gl.finish();
  return { look, refresh, pick: (n) => { state.picked = n; refresh(); }, show: (what) => { Object.assign(state, what); refresh(); } };
}
