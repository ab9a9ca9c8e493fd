// Edit: sliders to a picture, at once. While one is drawn, only the newest wish waits.

import { api } from "./api.js";
import { angleRanges, select, slider, sliders, toggle } from "./controls.js";
import { download, errorBox, h, icon, place, showError } from "./dom.js";
import { MeshView } from "./mesh.js";
import { portraitPicker } from "./pickers.js";
import { imageOf, store } from "./store.js";

export class EditRoom {
  constructor(room, showJob) {
    this.showJob = showJob;
    this.isDrawing = false;
    this.isWanted = false;
    this.isOpen = false;
    portraitPicker(place("portraits", room), true);
    this.addSliders(place("edit-sliders", room));
    this.addSweep(place("edit-sweep", room));
    this.addStage(place("edit-stage", room));
    store.addEventListener("picture", () => {
      this.image.src = imageOf(store.picture);
      this.before.src = imageOf(store.picture);
      if (!this.isOpen) return;
      this.draw();
      if (!this.deep.hidden) this.mesh.show();
    });
  }

  enter() {
    this.isOpen = true;
    this.draw();
  }

  leave() {
    this.isOpen = false;
  }

  addSliders(card) {
    const draw = () => {
      // So that it is seen what the slider does.
      if (this.flat.hidden) this.showMesh(false);
      if (this.image.hidden) this.compare.click();
      this.draw();
    };
    this.angles = sliders("Head, degrees", angleRanges(store.about), draw,
      { step: 1, unit: "°" });
    this.face = sliders("Expression", store.about.sliders, draw);
    const file = h("input", { type: "file", accept: ".json,application/json", class: "unseen",
      tabindex: -1, "aria-label": "Load an expression" });
    file.addEventListener("change", () => {
      this.load(file.files[0]);
      file.value = "";
    });
    card.append(this.angles.element, this.face.element, h("div", { class: "row" },
      h("button", { type: "button", onclick: () => this.reset() }, "Reset"),
      h("button", { type: "button", onclick: () => this.saveExpression() }, "Save expression"),
      h("button", { type: "button", onclick: () => file.click() }, "Load"), file));
  }

  addSweep(card) {
    const axis = select("Direction", "axis", { yaw: "Turn", pitch: "Nod", roll: "Tilt" }, "yaw");
    const reach = slider({ name: "reach", least: 5, most: 30, value: 20, step: 1, unit: "°" });
    const error = errorBox();
    const make = h("button", { type: "button", class: "primary", onclick: async () => {
      showError(error, null);
      make.disabled = true; // a second click is not a second job
      const options = this.wanted();
      delete options[`${axis.get()}_deg`];
      options.sweep = `${axis.get()}=${-reach.get()}:${reach.get()}`;
      try {
        this.showJob(await api.post("/api/jobs", { kind: "sweep", picture: store.picture.id,
          options }));
      } catch (problem) {
        showError(error, problem);
      }
      make.disabled = false;
    } }, "Make the video");
    card.append(h("fieldset", {}, axis.element, reach.element), make, error);
  }

  addStage(stage) {
    this.image = h("img", { class: "fit", alt: "The edited portrait" });
    this.before = h("img", { class: "fit", alt: "The portrait as it was", hidden: true });
    this.badge = h("span", { class: "badge", hidden: true }, "Before");
    this.error = errorBox();
    this.compare = h("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const isBefore = this.before.hidden;
      this.before.hidden = this.badge.hidden = !isBefore;
      this.image.hidden = isBefore;
      this.compare.setAttribute("aria-pressed", String(isBefore));
    } }, "Before ", h("kbd", {}, "B"));
    this.mesh = new MeshView();
    this.inDepth = h("button", { type: "button", "aria-pressed": "false",
      onclick: () => this.showMesh(this.deep.hidden) }, "3D mesh ", h("kbd", {}, "M"));
    const picture = h("div", { class: "row" }, this.compare,
      h("button", { type: "button", class: "primary", onclick: () => this.savePicture() },
        icon("save"), "Save the picture"));
    const skin = toggle("With the picture on it", "worn", false,
      () => this.mesh.wear(skin.get()));
    const saveMesh = h("a", { class: "button primary", download: "head.glb" }, icon("save"),
      "Save the mesh");
    saveMesh.addEventListener("click", () => {
      const face = store.face === null ? "" : `?face=${store.face}`;
      saveMesh.href = `/api/pictures/${store.picture.id}/mesh.glb${face}`;
    });
    saveMesh.href = "#edit";
    const mesh = h("div", { class: "row", hidden: true }, saveMesh, skin.element,
      h("span", { class: "hint" }, "Drag it, or use the arrow keys."));
    this.showMesh = (isShown) => {
      this.inDepth.setAttribute("aria-pressed", String(isShown));
      this.flat.hidden = picture.hidden = isShown;
      this.deep.hidden = mesh.hidden = !isShown;
      if (isShown) this.mesh.show();
    };
    this.flat = h("div", {}, h("div", { class: "screen" }, this.image, this.before, this.badge),
      this.error);
    this.deep = h("div", { hidden: true }, this.mesh.element, this.mesh.error);
    stage.append(this.flat, this.deep, h("div", { class: "row" }, this.inDepth, picture, mesh));
  }

  key(event) {
    if (event.key.toLowerCase() === "b" && !this.flat.hidden) this.compare.click();
    if (event.key.toLowerCase() === "m") this.inDepth.click();
  }

  wanted() {
    const angles = this.angles.changed();
    const options = { ...store.faceOption };
    for (const [axis, degrees] of Object.entries(angles)) options[`${axis}_deg`] = degrees;
    if (Object.keys(this.face.changed()).length) options.sliders = this.face.changed();
    return options;
  }

  /** Draw what the sliders say; a wish that comes meanwhile waits, and overtakes those before. */
  async draw() {
    this.isWanted = true;
    if (this.isDrawing) return;
    this.isDrawing = true;
    while (this.isWanted) {
      this.isWanted = false;
      try {
        const blob = await api.picture({ picture: store.picture.id, options: this.wanted() });
        const old = this.image.src;
        this.image.src = URL.createObjectURL(blob);
        await this.image.decode().catch(() => {});
        if (old.startsWith("blob:")) URL.revokeObjectURL(old);
        showError(this.error, null);
      } catch (problem) {
        showError(this.error, problem);
      }
    }
    this.isDrawing = false;
  }

  reset() {
    this.angles.reset();
    this.face.reset();
    this.draw();
  }

  async savePicture() {
    try {
      const blob = await api.picture({ picture: store.picture.id, options: this.wanted(),
        longest: null, format: "png" });
      download(blob, "edited.png");
    } catch (problem) {
      showError(this.error, problem);
    }
  }

  /** The same file as `fnevr edit --save-sliders` writes. */
  saveExpression() {
    const text = `${JSON.stringify(this.face.changed(), null, 2)}\n`;
    download(new Blob([text], { type: "application/json" }), "expression.json");
  }

  async load(file) {
    if (!file) return;
    try {
      const values = JSON.parse(await file.text());
      await api.picture({ picture: store.picture.id, options: { sliders: values } }); // checks it
      this.face.put(values);
      this.draw();
    } catch (problem) {
      showError(this.error, problem instanceof SyntaxError
        ? new Error(`${file.name} is no expression: it is not JSON`) : problem);
    }
  }
}
