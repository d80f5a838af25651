import formbody from '@fastify/formbody'
import type { FastifyContextConfig, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { BODIES } from '../../domain/bodies.ts'
import { attributesOf, shortened, withMedia, type Status } from '../../domain/open311.ts'
import { Problem, says } from '../../domain/problems.ts'
import type { Db } from '../../service/db.ts'
import { listItems, readItem, type ItemView } from '../../service/items.ts'
import type { Keyring } from '../../service/keyring.ts'
import { listOpen311, listUpdates, menuChangedAt, type Open311Query } from '../../service/open311.ts'
import { SPAN_DAYS } from '../../service/open311-query.ts'
import { commentOpen311, fileOpen311 } from '../../service/open311-filing.ts'
import { COUNTED_LATE, readKeys, requireApp, within } from '../open311/key.ts'
import { answerNowhere, refuse } from '../open311/refusal.ts'
import * as shapes from '../open311/schemas.ts'
import { apart, formatOf, MEDIA_TYPES, send } from '../open311/writing.ts'
import { InputRefused } from '../validation.ts'

const HERE = '/open311'
const V2 = `${HERE}/v2`
const SERVICE_REQUESTS = { root: 'service_requests', each: 'request' }
const UPDATES = { root: 'service_request_updates', each: 'request_update' }
const DAY_MS = 86_400_000

/** Open311 GeoReport v2 (wiki.open311.org/GeoReport_v2), with FixMyStreet's servicerequestupdates: read and write, in XML and JSON. */
export const open311Routes = (deps: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  await app.register(resources(deps), { prefix: HERE })
}

const resources = (deps: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  const { db } = deps
  await app.register(formbody)
  app.setErrorHandler((error, request, reply) => refuse(error, request, reply))
  app.setNotFoundHandler(answerNowhere)
  readKeys(app, deps)

  type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
  /** `.json` is what the document shows; `.xml` and nothing are the same in XML. */
  const resource = (method: 'GET' | 'POST', path: string, config: FastifyContextConfig, schema: FastifySchema, handler: Handler): void => {
    for (const suffix of ['.json', '.xml', '']) {
      app.route({
        method, url: `/v2/${path}${suffix}`, handler, config: { public: true, ownRefusals: true, ...config },
        schema: { tags: ['Open311'], produces: MEDIA_TYPES, ...schema, ...(suffix !== '.json' && { hide: true, operationId: undefined as never }) },
      })
    }
  }
  const named = (path: string, schema: FastifySchema, handler: Handler): void => {
    app.route({ method: 'GET', url: `/v2/${path}/:id`, handler, config: { public: true, ownRefusals: true }, schema: { tags: ['Open311'], produces: MEDIA_TYPES, params: z.strictObject({ id: NAME }), ...schema } })
  }

  resource('GET', 'discovery', {}, {
    operationId: 'getOpen311Discovery', summary: '服务发现', description: `接口的地址和格式。${BOTH}`, querystring: shapes.PublicQuery, response: { 200: shapes.DiscoverySchema, ...shapes.REFUSALS },
  }, (request, reply) => within(db, request, queryOf(request, shapes.PublicQuery).jurisdiction_id, 'requests:read', async () => {
    const changeset = await menuChangedAt(db)
    const origin = `${request.protocol}://${request.host}`
    return send(reply, formatOf(request.url), { root: 'discovery' }, {
      changeset, contact: `${origin}/docs`, key_service: `${origin}/docs`,
      endpoints: [{ specification: 'http://wiki.open311.org/GeoReport_v2', url: `${origin}${V2}`, changeset, type: 'production', formats: ['text/xml', 'application/json'] }],
    })
  }))

  resource('GET', 'services', {}, {
    operationId: 'listOpen311Services', summary: '服务列表', description: `可以点的服务。${BOTH}`, querystring: shapes.PublicQuery, response: { 200: shapes.ServicesSchema, ...shapes.REFUSALS },
  }, (request, reply) => within(db, request, queryOf(request, shapes.PublicQuery).jurisdiction_id, 'requests:read', async () =>
    send(reply, formatOf(request.url), { root: 'services', each: 'service' }, (await menu(db)).map(({ code, name, form, category }) => ({
      service_code: code, service_name: name, description: name, metadata: (form ?? null) !== null, type: 'realtime', keywords: category, group: category,
    })))))

  named('services', {
    operationId: 'getOpen311Service', summary: '服务定义', description: '服务的表单。服务代码后加 .json 或 .xml，缺省为 XML。', querystring: shapes.PublicQuery, response: { 200: shapes.DefinitionSchema, ...shapes.REFUSALS },
  }, (request, reply) => within(db, request, queryOf(request, shapes.PublicQuery).jurisdiction_id, 'requests:read', async () => {
    const { name, format } = apart(nameOf(request))
    const { code, form } = await readItem(db, name).catch((error: unknown) => { throw error instanceof Problem && error.code === 'not-found' ? noSuch('service_code') : error })
    return send(reply, format, { root: 'service_definition' }, { service_code: code, attributes: form ? attributesOf(form) : [] })
  }))

  resource('GET', 'requests', {}, {
    operationId: 'listOpen311Requests', summary: '点单列表', querystring: shapes.RequestsQuery, response: { 200: shapes.RequestsSchema, ...shapes.REFUSALS },
    description: `新的在前。公众看到点单人同意公示、上过墙的；应用出示 api_key 还看到自己提交的。不写时间的，看最近 ${SPAN_DAYS} 天点的；一次至多跨 ${SPAN_DAYS} 天。${BOTH}`,
  }, (request, reply) => {
    const query = queryOf(request, shapes.RequestsQuery)
    return within(db, request, query.jurisdiction_id, 'requests:read', async ({ app: asks }) =>
      send(reply, formatOf(request.url), SERVICE_REQUESTS, await listOpen311(db, searchOf(query), asks?.clientId ?? null)))
  })

  named('requests', {
    operationId: 'getOpen311Request', summary: '查看点单', description: '单号后加 .json 或 .xml，缺省为 XML。', querystring: shapes.KeyQuery, response: { 200: shapes.RequestsSchema, ...shapes.REFUSALS },
  }, (request, reply) => within(db, request, queryOf(request, shapes.KeyQuery).jurisdiction_id, 'requests:read', async ({ app: asks }) => {
    const { name, format } = apart(nameOf(request))
    const found = await listOpen311(db, { ids: [name], page: 1, pageSize: 1 }, asks?.clientId ?? null)
    if (found.length === 0) throw noSuch('service_request_id')
    return send(reply, format, SERVICE_REQUESTS, found)
  }))

  named('tokens', {
    operationId: 'getOpen311Token', summary: '由令牌查单号', description: '点单时已经回答单号，令牌就是单号。', querystring: shapes.KeyQuery, response: { 200: shapes.TokensSchema, ...shapes.REFUSALS },
  }, (request, reply) => within(db, request, queryOf(request, shapes.KeyQuery).jurisdiction_id, 'requests:read', async ({ app: asks }) => {
    const { name, format } = apart(nameOf(request))
    const [found] = await listOpen311(db, { ids: [name], page: 1, pageSize: 1 }, asks?.clientId ?? null)
    if (!found) throw noSuch('token')
    return send(reply, format, SERVICE_REQUESTS, [{ token: name, service_request_id: found.service_request_id }])
  }))

  resource('POST', 'requests', COUNTED_LATE, {
    operationId: 'fileOpen311Request', summary: '点单（Open311）', consumes: ['application/x-www-form-urlencoded'], querystring: shapes.KeyQuery, body: shapes.FilingBody, response: { 201: shapes.FiledSchema, ...shapes.REFUSALS },
    description: `以 api_key 的应用的名义点单。地点写 address_id（节点代码）、lat 和 long（归最近的节点）或 address_string（归地址中提到的节点）。${BOTH}`,
  }, (request, reply) => {
    const body = bodyOf(request, shapes.FilingBody)
    return within(db, request, body.jurisdiction_id, 'requests:write', async (standing) => {
      const asks = requireApp(standing)
      const number = await fileOpen311(deps, filingOf(body), asks, readFiling)
      return send(reply.code(201), formatOf(request.url), SERVICE_REQUESTS, [{ service_request_id: number, service_notice: '已收到，将由社区受理', account_id: body.account_id || null }])
    })
  })

  resource('GET', 'servicerequestupdates', {}, {
    operationId: 'listOpen311Updates', summary: '办理进展', querystring: shapes.KeyQuery.extend(shapes.SpanQuery), response: { 200: shapes.UpdatesSchema, ...shapes.REFUSALS },
    description: `看得到的点单每一次状态变化，旧的在前，一次至多 1000 条；不写时间的，看最近一天（FixMyStreet 扩展）。${BOTH}`,
  }, (request, reply) => {
    const { jurisdiction_id: jurisdiction, start_date: start, end_date: end } = queryOf(request, shapes.KeyQuery.extend(shapes.SpanQuery))
    checkSpan(start, end)
    return within(db, request, jurisdiction, 'requests:read', async ({ app: asks }) => send(reply, formatOf(request.url), UPDATES, await listUpdates(db, { start, end }, asks?.clientId ?? null)))
  })

  resource('POST', 'servicerequestupdates', COUNTED_LATE, {
    operationId: 'postOpen311Update', summary: '补充进展', consumes: ['application/x-www-form-urlencoded'], querystring: shapes.KeyQuery, body: shapes.CommentBody, response: { 201: shapes.CommentedSchema, ...shapes.REFUSALS },
    description: `应用对自己提交的点单的说明：退回补正的，即为补正；未办结而 CLOSED 的，撤单；已办结而 OPEN 的，重办；其余为催办（FixMyStreet 扩展）。${BOTH}`,
  }, (request, reply) => {
    const { jurisdiction_id: jurisdiction, service_request_id: ref, update_id: id, update_id_ext: other, status, description, media_url: media } = bodyOf(request, shapes.CommentBody)
    return within(db, request, jurisdiction, 'requests:write', async (standing) => {
      const asks = requireApp(standing)
      const words = withMedia(given(description), addressesIn(media), LONGEST_WORDS)
      const update = { request: required(ref, 'service_request_id'), id: required(id || other, 'update_id'), status: statusIn(status), ...(words !== undefined && { words: readWords(words) }) }
      return send(reply.code(201), formatOf(request.url), UPDATES, [{ update_id: await commentOpen311(deps, update, asks) }])
    })
  })
}

const BOTH = '.xml（或不写后缀）为同样内容的 XML。'
const NAME = z.string().max(100).regex(/^\P{Cc}*$/u).describe('代码或单号，后加 .json 或 .xml').meta({ examples: ['corridor-light.json'] })

const nameOf = ({ params }: FastifyRequest): string => (params as { id: string }).id
const queryOf = <T extends z.ZodType>({ query }: FastifyRequest, _: T): z.output<T> => query as z.output<T>
/** The jurisdiction, like the key, stands in the address with some clients. */
const bodyOf = <T extends z.ZodType<{ jurisdiction_id?: string | undefined }>>({ query, body }: FastifyRequest, _: T): z.output<T> =>
  ({ ...(body as z.output<T>), jurisdiction_id: (body as z.output<T> | undefined)?.jurisdiction_id || (query as z.output<typeof shapes.KeyQuery>).jurisdiction_id })

const noSuch = (parameter: string): Problem => new Problem('not-found', { errors: [{ pointer: `/${parameter}`, message: says('没有找到', 'Not found') }] })

/** The whole menu: some dozens. */
async function menu(db: Db): Promise<ItemView[]> {
  const all: ItemView[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const { data, page } = await listItems(db, { limit: 100, ...(cursor !== undefined && { cursor }) })
    all.push(...data)
    cursor = page.nextCursor
  }
  return all
}

function searchOf({ service_request_id: ids, service_code: services, status: statuses, start_date: start, end_date: end, updated_after: updatedAfter, updated_before: updatedBefore, page = 1,
  page_size: pageSize = shapes.MOST_AT_ONCE, lat, long, radius = 1_000, bbox }: z.output<typeof shapes.RequestsQuery>): Open311Query {
  if (!ids) checkSpan(start, end)
  if ((lat === undefined) !== (long === undefined)) throw new Problem('validation-failed', { errors: [{ pointer: '/long', message: says('lat 与 long 须同时写', 'lat and long go together') }] })
  return {
    ids, services, statuses, start, end, updatedAfter, updatedBefore, page: ids ? 1 : page, pageSize: ids ? shapes.MOST_AT_ONCE : pageSize,
    near: lat === undefined || long === undefined ? undefined : { lat, lng: long, metres: radius },
    box: bbox === undefined ? undefined : bbox.split(',').map(Number) as [number, number, number, number],
  }
}

function checkSpan(start: Date | undefined, end: Date | undefined): void {
  if (start && end && end.getTime() - start.getTime() > SPAN_DAYS * DAY_MS) {
    throw new Problem('validation-failed', { errors: [{ pointer: '/end_date', message: says(`一次至多跨 ${SPAN_DAYS} 天`, `At most ${SPAN_DAYS} days at once`) }] })
  }
}

const given = (value: string | undefined) => value?.trim() || undefined

function addressesIn(media: string | undefined): string[] {
  const addresses = (media ?? '').split(/\s+/).filter((one) => one !== '')
  if (addresses.some((one) => !/^https?:\/\/./.test(one))) throw new Problem('validation-failed', { errors: [{ pointer: '/media_url', message: says('应为网址', 'Expected a URL') }] })
  return addresses
}

function filingOf(body: z.output<typeof shapes.FilingBody>): Parameters<typeof fileOpen311>[1] {
  return {
    service: required(body.service_code, 'service_code'), description: given(body.description), lat: body.lat, long: body.long, address: given(body.address_string), addressId: given(body.address_id),
    firstName: given(body.first_name), lastName: given(body.last_name), phone: given(body.phone), media: addressesIn(body.media_url),
    sender: [body.device_id, body.account_id, body.email, body.phone].some((known) => known) ? JSON.stringify([body.device_id, body.account_id, body.email, body.phone]) : '',
    parameters: body,
  }
}

function required(value: string | undefined, name: string): string {
  if (!value) throw new Problem('validation-failed', { errors: [{ pointer: `/${name}`, code: 'required', message: says('必填', 'Required') }] })
  return value
}

/** FixMyStreet knows finer ones, each open or closed. */
const ENDED = /^(?:closed|cancelled|fixed|fixed - (?:user|council)|no further action|not (?:councils )?responsib(?:le|ility)|duplicate|unable to fix|internal referral)$/i
const statusIn = (status: string | undefined): Status => (ENDED.test((status ?? '').replaceAll('_', ' ')) ? 'closed' : 'open')

function readWith<T>(schema: z.ZodType<T>, input: unknown): T {
  const { data, success } = schema.safeParse(input)
  if (!success) throw new InputRefused(schema, input, 'body')
  return data
}
const readFiling = (input: unknown) => readWith(BODIES.file, input)
/** What the verb that takes the fewest words takes. A comment elsewhere may be longer: its beginning is better than nothing. */
const LONGEST_WORDS = 1_000
const readWords = (description: string): string => readWith(BODIES.reopen, { reason: shortened(description, LONGEST_WORDS) }).reason!
