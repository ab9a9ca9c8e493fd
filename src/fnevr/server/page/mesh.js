// The head in 3D: its mesh, with or without the picture on it, turned by dragging or by keys.

import { api } from "./api.js";
import { errorBox, h, showError } from "./dom.js";
import { imageOf, store } from "./store.js";

const DISTANCE = 0.5; // metres from the eye to the head
const FIELD = 4; // cotangent of half the angle of view
const STEP = 0.12; // radians by a key
const MOST = 1.3; // radians by which it can be turned

const VERTEX = `
  attribute vec3 vertex; attribute vec3 normal; attribute vec2 place;
  uniform mat3 turn; uniform float aspect;
  varying vec2 shown; varying vec3 facing;
  void main() {
    vec3 p = turn * vertex;
    float depth = ${DISTANCE.toFixed(1)} - p.z;
    gl_Position = vec4(
      p.x * ${FIELD.toFixed(1)} / aspect, p.y * ${FIELD.toFixed(1)}, (depth - 0.5) * depth, depth);
    shown = place; facing = turn * normal;
  }`;
const FRAGMENT = `
  precision mediump float;
  uniform sampler2D picture; uniform float plain;
  varying vec2 shown; varying vec3 facing;
  void main() {
    float light = 0.45 + 0.55 * max(dot(normalize(facing), normalize(vec3(0.3, 0.4, 0.9))), 0.0);
    vec3 skin = mix(texture2D(picture, shown).rgb, vec3(0.72, 0.78, 0.77), plain);
    gl_FragColor = vec4(skin * mix(1.0, light, max(plain, 0.5)), 1.0);
  }`;

function compiled(gl) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    throw new Error("this browser cannot draw the mesh");
  }
  return program;
}

/** Normals of vertices: the mean of their triangles', by area. */
function normalsOf(vertices, triangles) {
  const normals = vertices.map(() => [0, 0, 0]);
  for (const [a, b, c] of triangles) {
    const u = vertices[b].map((value, k) => value - vertices[a][k]);
    const v = vertices[c].map((value, k) => value - vertices[a][k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const index of [a, b, c]) n.forEach((value, k) => { normals[index][k] += value; });
  }
  return normals;
}

export class MeshView {
  constructor() {
    this.canvas = h("canvas", { class: "fit turned", width: 900, height: 700, tabindex: 0,
      role: "img", "aria-label": "The head in 3D: the arrow keys turn it" });
    this.error = errorBox();
    this.plain = 1;
    this.yaw = this.pitch = 0;
    this.element = h("div", { class: "mesh screen" }, this.canvas);
    this.canvas.addEventListener("pointerdown", (event) =>
      this.canvas.setPointerCapture(event.pointerId));
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) this.turn(event.movementX * 0.01, event.movementY * 0.01);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP],
        ArrowDown: [0, STEP] };
      if (!turns[event.key]) return;
      event.preventDefault();
      this.turn(...turns[event.key]);
    });
  }

  turn(yaw, pitch) {
    const within = (angle) => Math.max(-MOST, Math.min(MOST, angle));
    this.yaw = within(this.yaw + yaw);
    this.pitch = within(this.pitch + pitch);
    this.draw();
  }

  /** Fit the head model to the chosen face, and show it. */
  async show() {
    showError(this.error, null);
    try {
      const face = store.face === null ? "" : `?face=${store.face}`;
      const picture = h("img", { src: imageOf(store.picture) });
      const [mesh] = await Promise.all([
        api.get(`/api/pictures/${store.picture.id}/mesh${face}`), picture.decode()]);
      this.load(mesh, picture);
      this.yaw = this.pitch = 0;
      this.draw();
    } catch (problem) {
      showError(this.error, problem);
    }
  }

  load(mesh, picture) {
    const gl = this.gl ??= this.canvas.getContext("webgl");
    if (!gl) throw new Error("this browser has no WebGL, which draws the mesh");
    const program = this.program ??= compiled(gl);
    gl.useProgram(program);
    const middle = [0, 1, 2].map((k) => mesh.vertices.reduce((sum, vertex) => sum + vertex[k], 0)
      / mesh.vertices.length);
    const vertices = mesh.vertices.map((vertex) => vertex.map((value, k) => value - middle[k]));
    const arrays = { vertex: vertices, normal: normalsOf(mesh.vertices, mesh.triangles),
      place: mesh.places };
    for (const [name, rows] of Object.entries(arrays)) {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(rows.flat()), gl.STATIC_DRAW);
      const where = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, rows[0].length, gl.FLOAT, false, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(mesh.triangles.flat()),
      gl.STATIC_DRAW);
    this.count = 3 * mesh.triangles.length;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, picture);
    for (const [name, value] of [[gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE], [gl.TEXTURE_MIN_FILTER, gl.LINEAR]]) {
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    }
  }

  draw() {
    const { gl, program } = this;
    if (!gl || !program) return;
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch),
      Math.sin(this.pitch)];
    // Columns of the turn: first about the upright axis, then about the level one.
    const turn = [cy, sp * sy, -cp * sy, 0, cp, sp, sy, -sp * cy, cp * cy];
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0.063, 0.082, 0.078, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.uniformMatrix3fv(gl.getUniformLocation(program, "turn"), false, turn);
    gl.uniform1f(gl.getUniformLocation(program, "aspect"),
      this.canvas.width / this.canvas.height);
    gl.uniform1f(gl.getUniformLocation(program, "plain"), this.plain);
    gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0);
    this.canvas.dataset.drawn = "yes";
  }

  /** Show the picture on the mesh, or the mesh alone. */
  wear(isWorn) {
    this.plain = isWorn ? 0 : 1;
    this.draw();
  }
}
