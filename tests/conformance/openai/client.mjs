// The official `openai` package for Node against /v1: one line of JSON for each thing that was tried.

import assert from "node:assert/strict";
import { appendFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The package lies in the folder that this was started in, this file somewhere else.
const { default: OpenAI } = createRequire(process.cwd() + "/")("openai");
const { version } = JSON.parse(readFileSync("node_modules/openai/package.json", "utf8"));

// Keeps what was sent, and whether it was understood.
async function recorded(url, init) {
  const response = await fetch(url, init);
  const body = init?.body ? JSON.parse(init.body) : null;
  const line = { method: init?.method?.toUpperCase() ?? "GET", path: new URL(url).pathname, body, status: response.status };
  if (process.env.OPENCLAW_RECORD) appendFileSync(process.env.OPENCLAW_RECORD, JSON.stringify(line) + "\n");
  return response;
}

const client = new OpenAI({
  baseURL: process.env.OPENCLAW_BASE,
  apiKey: process.env.OPENCLAW_TOKEN,
  timeout: 30000,
  fetch: recorded,
});
const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const tools = [{ type: "function", function: { name: "look", parameters: { type: "object", properties: {} } } }];
const said = (content, more = {}) => ({ model: "openclaw", messages: [{ role: "user", content }], ...more });

const checks = {
  async whole() {
    const answer = await client.chat.completions.create(said("good morning"));
    assert.match(answer.choices[0].message.content, /good morning/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.usage.total_tokens > 0);
  },
  async stream() {
    const more = { stream: true, stream_options: { include_usage: true } };
    let text = "", end = null, usage = null;
    for await (const piece of await client.chat.completions.create(said("one two three", more))) {
      text += piece.choices[0]?.delta.content ?? "";
      end = piece.choices[0]?.finish_reason ?? end;
      usage = piece.usage ?? usage;
    }
    assert.match(text, /one two three/);
    assert.equal(end, "stop");
    assert.ok(usage.completion_tokens > 0);
  },
  async helper_stream() {
    const stream = client.chat.completions.stream(said("helped along"));
    assert.match(await stream.finalContent(), /helped along/);
  },
  async tools() {
    const question = said('/tool look {"at":"sky"}', { tools });
    const { choices: [choice] } = await client.chat.completions.create(question);
    assert.equal(choice.finish_reason, "tool_calls");
    const [call] = choice.message.tool_calls;
    assert.deepEqual(JSON.parse(call.function.arguments), { at: "sky" });
    question.messages.push(choice.message, { role: "tool", tool_call_id: call.id, content: "it is blue" });
    const answer = await client.chat.completions.create(question);
    assert.match(answer.choices[0].message.content, /it is blue/);
  },
  async run_tools() {
    const look = { type: "function", function: { name: "look", parse: JSON.parse, parameters: { type: "object" }, function: () => "a cat" } };
    const runner = client.chat.completions.runTools(said("/tool look {}", { tools: [look], stream: true }));
    assert.match(await runner.finalContent(), /a cat/);
  },
  async image() {
    const parts = [{ type: "text", text: "see" }, { type: "image_url", image_url: { url: PIXEL } }];
    const answer = await client.chat.completions.create(said(parts));
    assert.match(answer.choices[0].message.content, /1 picture/);
  },
  async errors() {
    await assert.rejects(client.withOptions({ apiKey: "wrong" }).models.list(), OpenAI.AuthenticationError);
    await assert.rejects(client.chat.completions.create({ model: "openclaw", messages: [] }), OpenAI.BadRequestError);
    await assert.rejects(client.chat.completions.create({ ...said("x"), model: "openclaw:nobody" }), OpenAI.NotFoundError);
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes("openclaw:main"));
  },
  async responses() {
    const answer = await client.responses.create({ model: "openclaw", input: "good evening" });
    assert.match(answer.output_text, /good evening/);
  },
  async responses_stream() {
    const kinds = [];
    let text = "";
    for await (const event of await client.responses.create({ model: "openclaw", input: "one two three", stream: true })) {
      kinds.push(event.type);
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(kinds.at(0), "response.created");
    assert.equal(kinds.at(-1), "response.completed");
    assert.match(text, /one two three/);
  },
  async responses_helper() {
    const answer = await client.responses.stream({ model: "openclaw", input: "helped along" }).finalResponse();
    assert.match(answer.output_text, /helped along/);
  },
  async leaves_early() {
    const stream = await client.chat.completions.create(said("/slow 200\na b c d e f g h i j k", { stream: true }));
    for await (const piece of stream) if (piece.choices[0]?.delta.content) break;
    await checks.whole();
  },
};

let failed = false;
for (const [check, run] of Object.entries(checks)) {
  try {
    await run();
    console.log(JSON.stringify({ check, version }));
  } catch (error) {
    failed = true;
    console.log(JSON.stringify({ check, version, error: `${error.name}: ${error.message}`.slice(0, 600) }));
  }
}
process.exit(failed ? 1 : 0);
