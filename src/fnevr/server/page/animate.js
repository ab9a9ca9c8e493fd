// Animate: a portrait and a driver to a video, by a job of the server.

import { api } from "./api.js";
import { select, sliders, toggle } from "./controls.js";
import { asTitle, capitalized, errorBox, h, icon, place, showError } from "./dom.js";
import { driverPicker, portraitPicker } from "./pickers.js";
import { imageOf, store } from "./store.js";

const POLL_MS = 400;
const AWAY_POLL_MS = 2000; // while the server does not answer
const STARTED_AGAIN = "fnevr was started again, and what was here is gone: reload the page";
const OPEN = ["waiting", "working"];

export class AnimateRoom {
  constructor(room) {
    this.stage = place("result", room);
    this.error = place("animate-error", room);
    this.status = place("animate-status", room); // for those who do not see the stage
    this.button = room.querySelector('[data-act="animate"]');
    this.button.addEventListener("click", () => this.start());
    portraitPicker(place("portraits", room));
    driverPicker(place("drivers", room));
    this.addOptions(place("options", room));
    this.jobs = [];
    this.shown = null; // the id of the job on the stage; null: the portrait
    store.addEventListener("picture", () => {
      if (!this.jobs.some((job) => OPEN.includes(job.state))) this.shown = null;
      this.render();
    });
  }

  addOptions(card) {
    const { regions, sliders: faces, defaults } = store.about;
    const known = defaults.animate;
    this.regions = sliders("How much goes over from the driver", regions, undefined);
    this.sliders = sliders("An expression on top", faces, undefined);
    this.options = [
      toggle("Take trembling out of the motion", "smooth", known.smooth),
      toggle("Find the face", "crop", known.crop),
      toggle("Keep the whole picture", "paste_back", known.paste_back),
      toggle("Hold the background still", "still_background", known.still_background),
      select("Transfer", "transfer", {
        auto: "Automatic", retarget: "Retarget: expression and turns of the head",
        relative: "Relative: changes from a reference frame", absolute: "Absolute positions",
      }, known.transfer),
      select("Reference frame", "best_frame",
        { "": "Automatic", auto: "The most similar one", first: "The first one" },
        known.best_frame ?? ""),
      select("Detail", "detail", Object.fromEntries([256, 512, 1024, 2048]
        .map((side) => [side, `up to ${side} pixels`])), String(known.detail)),
    ];
    const reset = h("button", { type: "button", onclick: () => {
      this.regions.reset();
      this.sliders.reset();
    } }, "Reset the sliders");
    card.append(this.regions.element, this.sliders.element, reset, h("fieldset", {},
      h("legend", {}, "Picture and motion"), ...this.options.map((one) => one.element)));
  }

  /** What was changed; all else is left to the library. */
  wanted() {
    const options = { ...store.faceOption };
    for (const one of this.options) if (one.isChanged()) options[one.name] = one.get();
    if (options.crop === false) delete options.face; // the whole picture is taken
    if (options.detail) options.detail = Number(options.detail);
    if (Object.keys(this.regions.changed()).length) options.regions = this.regions.changed();
    if (Object.keys(this.sliders.changed()).length) options.sliders = this.sliders.changed();
    return options;
  }

  async start() {
    if (this.button.disabled) return; // a second click is not a second job
    showError(this.error, null);
    this.button.disabled = true;
    try {
      const job = await api.post("/api/jobs", { kind: "animate", picture: store.picture.id,
        driver: store.driver.id, options: this.wanted() });
      this.show(job);
    } catch (problem) {
      showError(this.error, problem);
    }
    this.button.disabled = false;
  }

  /** Put a job on the stage, and follow it. */
  show(job) {
    this.jobs = [job, ...this.jobs.filter((other) => other.id !== job.id)];
    this.shown = job.id;
    this.render();
    this.follow();
    if (matchMedia("(max-width: 54rem)").matches) this.stage.scrollIntoView();
  }

  /** Take up the jobs that were begun before the page was opened. */
  resume(jobs) {
    this.jobs = jobs;
    this.shown = (this.jobs.find((job) => OPEN.includes(job.state)) ?? this.jobs[0])?.id ?? null;
    this.render();
    this.follow();
  }

  async follow() {
    if (this.following) return;
    this.following = true;
    let isAway = false;
    while (this.jobs.some((job) => OPEN.includes(job.state))) {
      await new Promise((resolve) => setTimeout(resolve, isAway ? AWAY_POLL_MS : POLL_MS));
      try {
        this.jobs = await api.get("/api/jobs");
        this.render();
        if (isAway) showError(this.error, this.jobs.length ? null : new Error(STARTED_AGAIN));
        isAway = false;
      } catch (problem) {
        isAway = true;
        showError(this.error, problem);
      }
    }
    this.following = false;
  }

  render() {
    const job = this.jobs.find((one) => one.id === this.shown) ?? null;
    const key = JSON.stringify([job?.id, job?.state, job ? 0 : [store.picture.id]]);
    if (key !== this.drawn) {
      this.drawn = key;
      this.bar = null;
      this.status.textContent = job ? `${asTitle(job.title)}: ${job.state}` : "";
      this.stage.replaceChildren(...this.scene(job));
    }
    if (this.bar) this.advance(job);
    this.list ??= h("div", { class: "results" });
    const others = this.jobs.filter((one) => one.id !== this.shown);
    const listed = JSON.stringify(others.map((one) => [one.id, one.state]));
    if (listed !== this.listed) {
      this.listed = listed;
      this.list.replaceChildren(...others.map((one) => this.thumbnail(one)));
    }
    this.earlier ??= h("div", {}, h("h2", {}, "Earlier"), this.list);
    this.earlier.hidden = others.length === 0;
    this.stage.append(this.earlier);
  }

  scene(job) {
    if (!job) return [this.empty()];
    if (OPEN.includes(job.state)) return [this.working(job)];
    return job.state === "done" ? this.done(job) : [this.ended(job)];
  }

  empty() {
    return h("div", { class: "screen" },
      h("img", { class: "fit", src: imageOf(store.picture), alt: "" }),
      h("div", { class: "over" },
        h("h2", {}, "Make this portrait move"),
        h("p", {}, "It takes on what the face in the video does. Try it with what is chosen, or "
          + "bring a picture and a video of your own."),
        h("button", { type: "button", class: "primary", onclick: () => this.start() },
          "Try it")));
  }

  working(job) {
    this.bar = h("progress", { max: 1, "aria-label": "how far it is" });
    this.numbers = h("p", { class: "numbers" });
    this.heading = h("h2", {}, "Waiting for its turn");
    return h("div", { class: "screen" },
      h("img", { class: "fit working-face", src: imageOf(store.picture), alt: "" }),
      h("div", { class: "over" }, h("div", { class: "meter" }, this.heading, this.bar,
        this.numbers, h("button", { type: "button", onclick: () => this.act(job, "cancel") },
          "Cancel"))));
  }

  advance(job) {
    const { frames_done: done, frames, frames_per_second: speed, seconds_left: left } = job;
    const before = job.state === "working" ? "starting" : "waiting for its turn";
    this.heading.textContent = capitalized(job.stage || before);
    if (frames) this.bar.value = done / frames;
    else this.bar.removeAttribute("value");
    const parts = frames ? [`${done} of ${frames} frames`] : [];
    if (speed) parts.push(`${speed} frames/s`);
    if (left) parts.push(`${Math.ceil(left)} s left`);
    this.numbers.textContent = parts.join(" · ") || "It goes on when you close the page.";
  }

  done(job) {
    const { report } = job;
    const about = report
      ? `${report.frames ?? job.frames} frames of ${report.width} × ${report.height}`
        + (report.frames_per_second ? `, ${report.frames_per_second.toFixed(1)} a second` : "")
      : `${job.frames} frames`;
    const warnings = (report?.warnings ?? []).map((text) => h("p", { class: "hint" }, text));
    return [
      h("div", { class: "screen" }, h("video", { src: job.video, class: "fit", controls: true,
        autoplay: true, loop: true, playsInline: true, "aria-label": job.title })),
      h("div", { class: "card" }, h("div", { class: "row spread" },
        h("div", {}, h("h2", {}, asTitle(job.title)), h("p", { class: "hint" }, about)),
        h("div", { class: "row" },
          h("a", { class: "button primary", href: `${job.video}?download=true`, download: "" },
            icon("save"), "Save the video"),
          job.sheet ? h("a", { class: "button", href: job.sheet, download: "fnevr.jpg" },
            "Save the sheet") : null,
          h("button", { type: "button", class: "danger", onclick: () => this.act(job, "delete") },
            "Delete"))), ...warnings),
      ...(job.sheet ? [h("img", { class: "sheet", src: job.sheet,
        alt: "Frames of the result side by side" })] : []),
    ];
  }

  ended(job) {
    const error = errorBox();
    if (job.error) showError(error, job.error);
    return h("div", { class: "screen" },
      h("img", { class: "fit", src: imageOf(store.picture), alt: "" }),
      h("div", { class: "over" },
        h("h2", {}, job.state === "cancelled" ? "Cancelled" : "It did not work"), error,
        h("div", { class: "row" },
          h("button", { type: "button", class: "primary", onclick: () => this.start() },
            "Try again"),
          h("button", { type: "button", onclick: () => this.act(job, "delete") }, "Dismiss"))));
  }

  thumbnail(job) {
    const state = job.state === "done" ? "" : ` (${job.state})`;
    return h("button", { type: "button", onclick: () => { this.shown = job.id; this.render(); } },
      job.sheet ? h("img", { src: job.sheet, alt: "" }) : h("span", { class: "blank" },
        icon("video")),
      h("span", {}, asTitle(job.title) + state));
  }

  async act(job, what) {
    try {
      if (what === "cancel") await api.post(`/api/jobs/${job.id}/cancel`, {});
      else {
        await api.remove(`/api/jobs/${job.id}`);
        this.shown = null;
      }
      this.jobs = await api.get("/api/jobs");
    } catch (problem) {
      showError(this.error, problem);
    }
    this.render();
  }
}
