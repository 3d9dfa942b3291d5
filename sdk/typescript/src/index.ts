// A typed client of the Cartwright shop API: every path, body and answer as the document says.

import createClient, { type Client, type ClientOptions } from "openapi-fetch";

import type { components, operations, paths } from "./schema.js";

export type { components, operations, paths };

export type Schemas = components["schemas"];

/** A refusal (RFC 9457). `code` is stable and safe to switch on. */
export type Problem = Schemas["Problem"];

export type Cartwright = Client<paths>;

/** A client of the shop at `baseUrl`, the address of its gateway. */
export function cartwright(options: ClientOptions & { baseUrl: string }): Cartwright {
  return createClient<paths>(options);
}
