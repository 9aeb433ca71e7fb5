/** Which types the API server serves, and where: a kind's plural can't be guessed. */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { KubeClient } from "./client.ts";
import type { ObjectType } from "./objects.ts";

interface ResourceList {
  resources?: { name: string; kind: string; namespaced: boolean }[];
}

/** Looks types up, and remembers them. A type that isn't there is looked for again each time: its definition may come. */
export class Discovery {
  readonly #client: KubeClient;
  readonly #known = new Map<string, ObjectType>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Throws `NotFound` if the API server doesn't serve it (yet). */
  async typeOf(apiVersion: string, kind: string, signal?: AbortSignal): Promise<ObjectType> {
    const known = this.#known.get(`${apiVersion}/${kind}`);
    if (known !== undefined) return known;
    const path = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    let list: ResourceList;
    try {
      list = await this.#client.transport.request<ResourceList>({ method: "GET", path, signal });
    } catch (error) {
      if (isAppError(error, "NotFound")) throw notServed(apiVersion, kind, error);
      throw error;
    }
    const [version = "", group = ""] = apiVersion.split("/").reverse();
    for (const { name, kind: served, namespaced } of list.resources ?? []) {
      if (name.includes("/")) continue;
      this.#known.set(`${apiVersion}/${served}`, { group, version, kind: served, plural: name, namespaced });
    }
    const found = this.#known.get(`${apiVersion}/${kind}`);
    if (found === undefined) throw notServed(apiVersion, kind);
    return found;
  }
}

function notServed(apiVersion: string, kind: string, cause?: unknown): AppError {
  return new AppError("NotFound", `the API server serves no ${kind} in ${apiVersion}`, {
    data: { apiVersion, kind },
    ...(cause === undefined ? {} : { cause }),
  });
}
