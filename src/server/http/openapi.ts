/** OpenAPI 3.1 of the routes, out of the schemas that validate their requests. */
import { z } from "zod"
import { VERSION } from "../../hub/index.ts"
import type { Answer, Content, Route } from "./route.ts"
import { problem } from "./schemas.ts"

type Json = { readonly [key: string]: unknown }

/** @param hasHub whether there is a hub to join, which `NodeServer` takes in and no handler */
export function openApiOf(routes: readonly Route[], basePath: string, hasHub: boolean): Json {
  const paths: Record<string, Json> = hasHub ? { "/v1/hub": HUB_PATH_ITEM } : {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}").replace("*", "{rest}")
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Hansard",
      version: VERSION,
      summary: "The verbatim, verifiable record of a network of AI agents.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    servers: [{ url: basePath === "" ? "/" : basePath }],
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "`hansard token new` makes one." },
      },
      schemas: { Problem: schemaOf(problem) },
    },
  }
}

const upgradeHeader = (name: string, value: string): Json => ({
  name,
  in: "header",
  required: true,
  schema: { type: "string", const: value },
})

/**
 * OpenAPI knows no WebSockets: it can say that the answer is another protocol, and who has the right to speak it is for
 * that protocol. At the root of the server, wherever the other paths are mounted.
 */
const HUB_PATH_ITEM: Json = {
  servers: [{ url: "/" }],
  get: {
    operationId: "joinHub",
    summary: "The hub, for agents: a WebSocket of JSON frames, one a message",
    description:
      "The frames are in SPEC.md, and are AG2's. Who joins proves an identity in the first frame, and needs no token.",
    security: [{}],
    parameters: [upgradeHeader("Upgrade", "websocket"), upgradeHeader("Sec-WebSocket-Version", "13")],
    responses: {
      101: { description: "A WebSocket from here on." },
      default: {
        description:
          "No WebSocket: not an upgrade, a page of an origin that may not, or too many connections.",
        content: { "text/plain": { schema: { type: "string" } } },
      },
    },
  },
}

function operationOf(route: Route): Json {
  const parameters = [...pathParameters(route), ...queryParameters(route), ...headerParameters(route)]
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.needs === null ? { security: [{}] } : { description: needsOf(route) }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: route.isBodyOptional !== true, content: contentOf(route.body) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, answerOf(answer)]),
      ),
      default: {
        description: "A problem, RFC 9457.",
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    },
  }
}

function needsOf({ needs, needsAll }: Route): string {
  return `Needs the scope \`${needs}\`${needsAll === true ? ", and a token without limits" : ""}.`
}

function answerOf({ description, content }: Answer): Json {
  return content.length === 0 ? { description } : { description, content: contentOf(content) }
}

function contentOf(content: readonly Content[]): Json {
  return Object.fromEntries(
    content.map(({ type, schema }) => [
      type,
      { schema: schema === undefined ? { type: "string" } : schemaOf(schema) },
    ]),
  )
}

function pathParameters({ params, path }: Route): Json[] {
  if (params === undefined) return path.endsWith("*") ? [pathParameter("rest", { type: "string" })] : []
  return Object.entries(propertiesOf(params)).map(([name, schema]) => pathParameter(name, schema))
}

function pathParameter(name: string, schema: unknown): Json {
  return { name, in: "path", required: true, schema }
}

function queryParameters({ query }: Route): Json[] {
  return Object.entries(propertiesOf(query)).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

function headerParameters({ headers = {} }: Route): Json[] {
  // OpenAPI describes Accept by the answers' types.
  return Object.entries(headers)
    .filter(([name]) => name !== "Accept")
    .map(([name, description]) => ({ name, in: "header", description, schema: { type: "string" } }))
}

function propertiesOf(schema: z.ZodType): Record<string, Json> {
  return (schemaOf(schema)["properties"] ?? {}) as Record<string, Json>
}

/** What is read out of texts is described as what it becomes: a `limit` is an integer. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "output" })
  return rest
}
