import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, text, uuid } from '../../domain/atoms.ts'
import { inTenant, type Db } from '../../service/db.ts'
import { publicTenant } from '../../service/tenants.ts'
import { createVenue, listVenues, readVenue, updateVenue, venueWall } from '../../service/venues.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'
import { WallCardSchema } from './wall.ts'

const ref = z.union([uuid, code])
const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const compound = { id: EXAMPLE_ID, code: 'YQHF', name: '银雀华府' }

const VenueSchema = z
  .strictObject({
    id: uuid, name: z.string(), node: PlaceSchema, address: z.string().nullable(), hours: z.string().nullable().describe('开放时间'),
    wall: PlaceSchema.describe('挂的是哪里的墙'), closedAt: instant.nullable().describe('停用时间'),
  })
  .meta({ id: 'Venue', description: '驿站', examples: [{ id: EXAMPLE_ID, name: '党员萤火驿站', node: compound, address: '南门内一层', hours: '每天 9:00–20:00', wall: compound, closedAt: null }] })

const words = {
  name: text({ max: 60 }),
  address: text({ max: 200 }).nullable().describe('地址'),
  hours: text({ max: 100 }).nullable().describe('开放时间，照门上写'),
  wall: ref.describe('挂哪里的墙：节点 id 或代码'),
}
const NewVenueSchema = z.strictObject({ name: words.name, node: ref.describe('在哪里：节点 id 或代码'), address: words.address.optional(), hours: words.hours.optional(), wall: words.wall.optional() })
  .meta({ id: 'NewVenue', examples: [{ name: '党员萤火驿站', node: 'YQHF', address: '南门内一层', hours: '每天 9:00–20:00' }] })
const VenueChangeSchema = z.strictObject({ name: words.name.optional(), address: words.address.optional(), hours: words.hours.optional(), wall: words.wall.optional(), closed: z.boolean().optional().describe('停用，或重新开放') })
  .meta({ id: 'VenueChange', examples: [{ hours: '工作日 8:30–17:30' }] })

const params = z.strictObject({ id: uuid.describe('驿站 id') })
const tags = ['走访与活动']

/** 驿站: where the wall hangs. */
export const venueRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/venues', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '驿站列表', operationId: 'listVenues', description: '开放的，新的在前。',
      querystring: z.strictObject({ node: ref.optional().describe('节点 id 或代码，含下级').meta({ examples: ['YQHF'] }), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(VenueSchema), page: PageSchema }) },
    },
  }, ({ query }) => listVenues(db, query))

  app.get('/v1/venues/:id', {
    config: { problems: ['not-found'] },
    schema: { tags, summary: '查看驿站', operationId: 'getVenue', params, response: { 200: VenueSchema } },
  }, (request) => readVenue(db, request.params.id))

  app.get('/v1/venues/:id/wall', {
    config: { public: true, tokenOptional: true, problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags, summary: '驿站的心愿墙', operationId: 'getVenueWall', description: '给驿站的屏幕：所挂之墙上等待认领的心愿，规则同 GET /v1/wall。',
      params, querystring: z.strictObject({ tenant: code.optional().describe('租户代码；只有一个租户时可以不写'), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(WallCardSchema), page: PageSchema }) },
    },
  }, async ({ params: { id: venue }, query: { tenant, ...page }, visitor }) => {
    const id = visitor && tenant === undefined ? visitor.tenantId : await publicTenant(db, tenant)
    const actor = visitor?.tenantId === id && visitor.actor.kind === 'person' ? visitor.actor : undefined
    return inTenant(id, () => venueWall(db, venue, page, actor))
  })

  app.post('/v1/venues', {
    config: { problems: ['node-unknown'] },
    schema: { tags, summary: '新建驿站', operationId: 'createVenue', body: NewVenueSchema, response: { 201: VenueSchema } },
  }, async ({ body, actor }, reply) => {
    const venue = await createVenue(db, body, actor)
    reply.code(201).header('location', `/v1/venues/${venue.id}`)
    return venue
  })

  app.post('/v1/venues/:id', {
    config: { problems: ['not-found', 'node-unknown'] },
    schema: { tags, summary: '变更驿站', operationId: 'updateVenue', description: '没有写的不变。', params, body: VenueChangeSchema, response: { 200: VenueSchema } },
  }, (request) => updateVenue(db, request.params.id, request.body, request.actor))
}
