import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, text, uuid } from '../../domain/atoms.ts'
import type { Db } from '../../service/db.ts'
import { CRS, latitude, longitude, toWgs84 } from '../../domain/coordinates.ts'
import { listNodes, readNode } from '../../service/nodes.ts'
import { createNode, putPoint } from '../../service/tree.ts'
import { PageSchema } from '../request-schema.ts'

const ref = z.union([uuid, code])

const NodeSchema = z
  .strictObject({
    id: uuid,
    code: z.string(),
    name: z.string(),
    level: z.string().describe('层级代码，由租户自定'),
    levelName: z.string().describe('层级名称，如小区或大院'),
    path: z.string().describe('从根到本节点的代码，各以 / 结尾'),
    parent: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).nullable().describe('上级节点；根节点为 null'),
    hasChildren: z.boolean(),
    lng: z.number().nullable().describe('经度，度，WGS84'),
    lat: z.number().nullable().describe('纬度，度，WGS84'),
    retiredAt: instant.nullable().describe('停用时间'),
  })
  .meta({
    id: 'Node', description: '节点：街道、社区、小区、楼栋、单元',
    examples: [{
      id: '0195f2a0-7c1e-7abc-8def-0123456789ab', code: 'YQHF-03', name: '3号楼', level: 'building', levelName: '楼栋', path: '371302002/371302002207/YQHF/YQHF-03/',
      parent: { id: '0195f2a0-7c1e-7abc-8def-0123456789ab', code: 'YQHF', name: '银雀华府' }, hasChildren: true, lng: 118.3356, lat: 35.0538, retiredAt: null,
    }],
  })

const PointSchema = z.strictObject({ lng: longitude, lat: latitude, crs: z.enum(CRS).describe('坐标系：wgs84、gcj02、bd09；一律换算为 WGS84 保存') })
  .meta({ id: 'Point', description: '坐标', examples: [{ lng: 118.3412, lat: 35.0541, crs: 'gcj02' }] })

const NewNodeSchema = z
  .strictObject({
    parent: ref.describe('上级节点 id 或代码'),
    code: code.describe('租户内唯一'),
    name: text({ max: 60 }),
    level: code.describe('层级代码，须低于上级节点'),
    point: PointSchema.optional().describe('在哪里；只写坐标的点单（Open311）归最近的节点'),
  })
  .meta({ id: 'NewNode', examples: [{ parent: 'YQHF', code: 'YQHF-12', name: '12号楼', level: 'building' }] })

/** 网格: the tree of places. */
export const nodeRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/nodes', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['网格'], summary: '节点列表', operationId: 'listNodes', description: '在用的节点，按树的先后。条件可以同时使用。',
      querystring: z.strictObject({
        parent: ref.optional().describe('上级节点 id 或代码：只看直接下级').meta({ examples: ['YQHF'] }),
        under: ref.optional().describe('节点 id 或代码：看它以下各级').meta({ examples: ['371302002207'] }),
        level: code.optional().describe('层级代码').meta({ examples: ['building'] }),
        q: text({ max: 60 }).optional().describe('名称或代码中含有的文字').meta({ examples: ['3号楼'] }),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(NodeSchema), page: PageSchema }) },
    },
  }, ({ query }) => listNodes(db, query))

  app.get('/v1/nodes/:id', {
    config: { audience: 'staff', problems: ['not-found'] },
    schema: {
      tags: ['网格'], summary: '查看节点', operationId: 'getNode', description: '停用的节点也能查到。',
      params: z.strictObject({ id: ref.describe('节点 id 或代码').meta({ examples: ['YQHF-03-1'] }) }),
      response: { 200: NodeSchema },
    },
  }, ({ params }) => readNode(db, params.id))

  app.post('/v1/nodes', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['网格'], summary: '新建节点', operationId: 'createNode', description: '需要对上级节点有管理权限（administer）。',
      body: NewNodeSchema, response: { 201: NodeSchema },
    },
  }, async ({ body, actor }, reply) => {
    const { point, ...place } = body
    const node = await createNode(db, { ...place, ...(point && { point: toWgs84(point, point.crs) }) }, actor)
    reply.code(201).header('location', `/v1/nodes/${node.id}`)
    return node
  })

  app.put('/v1/nodes/:id/point', {
    config: { problems: ['not-found'] },
    schema: {
      tags: ['网格'], summary: '标注坐标', operationId: 'putNodePoint', description: '需要对该节点有管理权限（administer）。',
      params: z.strictObject({ id: ref.describe('节点 id 或代码').meta({ examples: ['YQHF-03'] }) }), body: PointSchema, response: { 200: NodeSchema },
    },
  }, ({ params, body, actor }) => putPoint(db, params.id, toWgs84(body, body.crs), actor))
}
