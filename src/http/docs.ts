import { createHash } from 'node:crypto'
import swaggerUi, { type FastifySwaggerUiOptions } from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { PROBLEMS, Problem, type ProblemCode } from '../domain/problems.ts'
import { DOCS_CSS, DOCS_LOGO } from './docs-style.ts'
import { operationsOf, withoutUnused, type Document } from './openapi-tidy.ts'
import { STATUS } from './problem-json.ts'

/** Swagger UI with both documents, the documents themselves, and the pages that the `type` of a problem names. */
export function serveDocs(app: FastifyInstance): void {
  app.register(async (scope) => {
    scope.addHook('onRoute', (route) => void (route.config = { ...route.config, public: true }))
    await scope.register(swaggerUi, UI)
  })
  serveDocument(app, '/openapi.json', (whole) => whole)
  serveDocument(app, '/openapi/staff.json', staffDocument)
  serveProblemPages(app)
}

const UI: FastifySwaggerUiOptions = {
  routePrefix: '/docs',
  uiConfig: {
    urls: [
      { name: '网格员派单台', url: '/openapi/staff.json' },
      { name: '完整 API', url: '/openapi.json' },
    ],
    persistAuthorization: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: -1,
    filter: true,
  },
  initOAuth: { clientId: 'swagger-ui' },
  theme: { title: '心愿墙 API', css: [{ filename: 'zh.css', content: DOCS_CSS }] },
  logo: { type: 'image/svg+xml', content: DOCS_LOGO },
  staticCSP: "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}

function serveDocument(app: FastifyInstance, url: string, of: (whole: Document) => Document): void {
  let served: { body: string; etag: string } | undefined
  const written = () => {
    const body = JSON.stringify(of(app.swagger() as unknown as Document))
    return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
  }
  app.get(url, { schema: { hide: true }, config: { public: true } }, (request, reply) => {
    const { body, etag } = (served ??= written())
    reply.headers({ etag, 'cache-control': 'public, max-age=60' })
    if (request.headers['if-none-match'] === etag) return reply.code(304).send()
    return reply.type('application/json').send(body)
  })
}

const STAFF_DESCRIPTION = `1. 点「登录」，输入工号和密码。
2. 点开要办的一步，照样例改好单号和内容。
3. 点「执行」，在下面看结果；没有成功时，看 \`title\` 和 \`errors\` 里的说明。`

/** What staff need in their daily work, with the one login they have. */
export function staffDocument({ webhooks: _, ...whole }: Document): Document {
  const staffLogin = { ...(whole.components.securitySchemes?.staffLogin as object), flows: { password: { tokenUrl: '/oauth/token', scopes: {} } } }
  const paths = Object.entries(whole.paths).flatMap(([path, item]) => {
    const operations = Object.entries(item).filter(([, operation]) => operation['x-audience'] === 'staff')
    return operations.length === 0 ? [] : [[path, Object.fromEntries(operations.map(([method, operation]) => [method, forStaff(operation)]))] as const]
  })
  return withoutUnused({
    ...whole,
    info: { ...(whole.info as object), title: '心愿墙 网格员派单台', description: STAFF_DESCRIPTION },
    security: [{ staffLogin: [] }],
    components: { ...whole.components, securitySchemes: { staffLogin } },
    paths: Object.fromEntries(paths),
  })
}

type Operation = ReturnType<typeof operationsOf>[number]

/** Their login has every scope they may have, so none is asked for. */
const forStaff = ({ security, ...operation }: Operation): Operation => ({ ...operation, ...(security?.length === 0 && { security }) })

function serveProblemPages(app: FastifyInstance): void {
  app.get('/problems', { schema: { hide: true }, config: { public: true } }, (_request, reply) =>
    reply.type('text/html; charset=utf-8').header('cache-control', 'public, max-age=3600').send(page('问题类型 Problem types', `<ul>${Object.keys(PROBLEMS).map((code) => `<li><a href="/problems/${code}">${code}</a></li>`).join('')}</ul>`)),
  )
  app.get<{ Params: { code: string } }>('/problems/:code', { schema: { hide: true }, config: { public: true } }, ({ params }, reply) => {
    if (!isProblemCode(params.code)) throw new Problem('not-found')
    const { kind, zh, en } = PROBLEMS[params.code]
    const body = `<p lang="zh-CN">${zh}</p><p lang="en">${en}</p><p>HTTP ${STATUS[kind]}</p><p><a href="/problems">所有问题类型 All problem types</a></p>`
    return reply.type('text/html; charset=utf-8').header('cache-control', 'public, max-age=3600').send(page(params.code, body))
  })
}

const isProblemCode = (code: string): code is ProblemCode => Object.hasOwn(PROBLEMS, code)

const page = (title: string, body: string): string =>
  `<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1>${body}</html>`
