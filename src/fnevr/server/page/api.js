// The server's JSON API. Errors carry its words and the field that they are about.

export class ApiError extends Error {
  constructor(message, argument, status) {
    super(message);
    this.argument = argument;
    this.status = status;
  }
}

async function checked(response) {
  if (response.ok) return response;
  let error = { message: `the server answered ${response.status}`, argument: null };
  try {
    error = (await response.json()).error ?? error;
  } catch { /* no JSON: the status has to do */ }
  throw new ApiError(error.message, error.argument, response.status);
}

async function request(path, options) {
  try {
    return await checked(await fetch(path, options));
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
    throw new ApiError("the server does not answer: is fnevr still running?", null, 0);
  }
}

const asJson = (body) => ({
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

export const api = {
  get: async (path) => (await request(path)).json(),
  post: async (path, body) => (await request(path, asJson(body))).json(),
  picture: async (body) => (await request("/api/edits", asJson(body))).blob(),
  /** Delete something; what is gone already is as good. */
  async remove(path) {
    try {
      await request(path, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  },

  /** Send a file; `tell` gets the share that is sent. */
  bring(kind, blob, name, tell = () => {}) {
    return new Promise((resolve, reject) => {
      const sending = new XMLHttpRequest();
      sending.open("POST", `/api/${kind}?name=${encodeURIComponent(name)}`);
      sending.upload.onprogress = (event) => tell(event.loaded / event.total);
      sending.onerror = () =>
        reject(new ApiError("the file could not be sent: is it too large, or fnevr gone?"));
      sending.onload = () => {
        let answer = {};
        try {
          answer = JSON.parse(sending.responseText);
        } catch { /* handled below */ }
        if (sending.status < 300) resolve(answer);
        else {
          const error = answer.error ?? { message: `the server answered ${sending.status}` };
          reject(new ApiError(error.message, error.argument, sending.status));
        }
      };
      sending.send(blob);
    });
  },
};
