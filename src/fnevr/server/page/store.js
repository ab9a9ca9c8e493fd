// What all rooms of the page share: the server's description, portraits, drivers.

import { api } from "./api.js";

export const BUNDLED = { picture: "portrait", driver: "motion" };

class Store extends EventTarget {
  about = null;
  pictures = [];
  drivers = [];
  picture = null; // the chosen one
  face = null; // null: the largest
  driver = null;

  async load() {
    this.about = await api.get("/api/about");
    const [bundled, motion, pictures, drivers] = await Promise.all([
      api.get(`/api/pictures/${BUNDLED.picture}`), api.get(`/api/drivers/${BUNDLED.driver}`),
      api.get("/api/pictures"), api.get("/api/drivers"),
    ]);
    this.pictures = [bundled, ...pictures];
    this.drivers = [motion, ...drivers];
    this.choosePicture(this.pictures.at(-1));
    this.chooseDriver(this.drivers.at(-1));
  }

  choosePicture(picture, face = null) {
    this.picture = picture;
    this.face = face;
    this.dispatchEvent(new Event("picture"));
  }

  chooseDriver(driver) {
    this.driver = driver;
    this.dispatchEvent(new Event("driver"));
  }

  async bringPicture(blob, name, tell) {
    const picture = await api.bring("pictures", blob, name, tell);
    this.pictures.push(picture);
    this.choosePicture(picture);
  }

  async bringDriver(blob, name, tell) {
    const driver = await api.bring("drivers", blob, name, tell);
    this.drivers.push(driver);
    this.chooseDriver(driver);
  }

  async removePicture(picture) {
    await api.remove(`/api/pictures/${picture.id}`);
    this.pictures = this.pictures.filter((other) => other !== picture);
    this.choosePicture(this.pictures.at(-1));
  }

  async removeDriver(driver) {
    await api.remove(`/api/drivers/${driver.id}`);
    this.drivers = this.drivers.filter((other) => other !== driver);
    this.chooseDriver(this.drivers.at(-1));
  }

  /** The chosen face, where it is not the largest anyhow. */
  get faceOption() {
    return this.face === null ? {} : { face: this.face };
  }
}

export const store = new Store();
export const imageOf = (picture, longest = 1024) =>
  `/api/pictures/${picture.id}/image?longest=${longest}`;
