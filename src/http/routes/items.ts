import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { cursor, flagQuery, limit } from '../../domain/atoms.ts'
import { GRADES, KINDS } from '../../domain/request.ts'
import type { Db } from '../../service/db.ts'
import { listItems } from '../../service/items.ts'
import { PageSchema } from '../request-schema.ts'

const MODES = ['pool', 'dispatch'] as const
const modeWords = 'pool 上墙认领，dispatch 派单'

const ItemSchema = z
  .strictObject({
    code: z.string().describe('点单时的 item'),
    name: z.string(),
    kind: z.enum(KINDS),
    mode: z.enum(MODES).describe(`通常的办法：${modeWords}`),
    category: z.string().describe('分类'),
    wall: z.boolean().describe('可以上墙'),
    policy: z.string().describe('时限规则代码'),
    grade: z.enum(GRADES).nullable().describe('通常的分级'),
    gradePolicies: z.partialRecord(z.enum(GRADES), z.string()).describe('某一分级改用的时限规则'),
    proof: z.boolean().describe('办结须附照片或材料'),
    skills: z.array(z.string()).describe('所需技能的代码，见 GET /v1/skills'),
    version: z.int().describe('版本；已点的单保持点单时的版本'),
  })
  .meta({
    id: 'Item', description: '服务菜单中的一项',
    examples: [{ code: 'corridor-light', name: '楼道灯维修', kind: 'service', mode: 'dispatch', category: '设施维修', wall: false, policy: 'auto', grade: null, gradePolicies: { urgent: 'urgent' }, proof: false, skills: ['electrics'], version: 1 }],
  })

/** 服务菜单: what can be ordered. */
export const itemRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/items', {
    config: { audience: 'staff', scope: 'directory:read', problems: ['cursor-unusable'] },
    schema: {
      tags: ['服务菜单'], summary: '服务菜单', operationId: 'listItems', description: '现行版本，按代码排序。',
      querystring: z.strictObject({
        kind: z.enum(KINDS).optional().meta({ examples: ['wish'] }),
        mode: z.enum(MODES).optional().describe(modeWords),
        wall: flagQuery.optional().describe('只看可以（不可以）上墙的'),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(ItemSchema), page: PageSchema }) },
    },
  }, ({ query }) => listItems(db, query))
}
