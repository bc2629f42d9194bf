// Requests of the machine's, sent as the client's own: with its token, which the SDK refreshes, and its limits.

import type { AuthDict, MatrixClient, Method, UIAuthCallback } from "matrix-js-sdk";
import type { HostFetch } from "../../fetch.js";
import type { OlmMachine } from "../../machine.js";
import type { OutgoingRequest } from "../../types.js";

/** What the machine fetches through. Answers are text, as the server wrote them. */
export function authedFetch(client: MatrixClient): HostFetch {
  return ({ method, path, headers, body, signal }) =>
    client.http.authedRequest<string>(method as Method, path, undefined, body, { prefix: "", json: false, headers: { ...headers }, abortSignal: signal });
}

/** Sends a request that is of use at once, and gives the machine the answer. It may have sent it by itself meanwhile: then it has one already. */
export async function send(client: MatrixClient, machine: OlmMachine, { id, method, path, body }: OutgoingRequest): Promise<void> {
  const answer = await post(client, method, path, body);
  try {
    await machine.markRequestAsSent(id, answer);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "unknown_request")) throw thrown;
  }
}

/** The same, for one that the server wants the user to authenticate for: `auth` is asked for what to send with it, as the SDK's own crypto asks. */
export async function sendWithAuth(client: MatrixClient, machine: OlmMachine, { id, method, path, body }: OutgoingRequest, auth: UIAuthCallback<void> | undefined): Promise<void> {
  let answer = "{}";
  const make = async (authData: AuthDict | null): Promise<void> => {
    answer = await post(client, method, path, authData === null ? body : JSON.stringify({ ...(JSON.parse(body) as object), auth: authData }));
  };
  await (auth === undefined ? make(null) : auth(make));
  await machine.markRequestAsSent(id, answer);
}

/** Asks for users' devices and identities now. */
export async function queryKeys(client: MatrixClient, machine: OlmMachine, users: readonly string[]): Promise<void> {
  await send(client, machine, machine.queryKeysForUsers(users));
}

function post(client: MatrixClient, method: string, path: string, body: string): Promise<string> {
  return client.http.authedRequest<string>(method as Method, path, undefined, body, { prefix: "", json: false, headers: { "Content-Type": "application/json" } });
}
