import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, uuid } from '../../domain/atoms.ts'
import { KINDS } from '../../domain/request.ts'
import { inTenant, type Db } from '../../service/db.ts'
import { publicTenant } from '../../service/tenants.ts'
import { wall } from '../../service/wall.ts'
import { PageSchema } from '../request-schema.ts'

export const WallCardSchema = z
  .strictObject({
    id: uuid,
    number: z.string().describe('单号，认领时用'),
    kind: z.enum(KINDS),
    item: z.strictObject({ code: z.string(), name: z.string() }),
    title: z.string().describe('上墙标题，由下单人撰写'),
    text: z.string().nullable().describe('上墙文字'),
    compound: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).nullable().describe('小区或大院，不会更细'),
    slots: z.int().describe('名额'),
    slotsTaken: z.int().describe('已认领'),
    placedAt: instant.describe('上墙时间'),
    isPublic: z.boolean().describe('false：点单人没有同意公示，只给经核实的认领人看，请勿转示他人'),
  })
  .meta({
    id: 'WallCard', description: '墙上的心愿：没有点单原话、姓名、门牌和群体',
    examples: [{
      id: '0195f2a0-7c1e-7abc-8def-0123456789ab', number: 'WX20261121-000009', kind: 'wish', item: { code: 'companionship', name: '陪伴关爱' },
      title: '傍晚散步，缺个伴', text: '每周两次，傍晚在小区里走一走。', compound: { id: '0195f2a0-7c1e-7abc-8def-0123456789ab', code: 'YQHF', name: '银雀华府' },
      slots: 1, slotsTaken: 0, placedAt: '2026-11-21T01:00:00.000Z', isPublic: true,
    }],
  })

/** 心愿墙: the one door without a login. */
export const wallRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/wall', {
    config: { public: true, tokenOptional: true, problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['心愿墙'], summary: '心愿墙', operationId: 'getWall', description: '等待认领的心愿，新的在前。不需要登录，只见点单人同意公示的；经核实的认领人带上令牌，还看得到轮到自己这一类认领、可见范围内的其余心愿。',
      querystring: z.strictObject({
        tenant: code.optional().describe('租户代码；只有一个租户时可以不写').meta({ examples: ['371302002'] }),
        node: z.union([uuid, code]).optional().describe('节点 id 或代码：只看它及以下的墙').meta({ examples: ['YQHF'] }),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(WallCardSchema), page: PageSchema }) },
    },
  }, async ({ query: { tenant, ...query }, visitor }) => {
    const id = visitor && tenant === undefined ? visitor.tenantId : await publicTenant(db, tenant)
    // Elsewhere than at home a claimer is one of the public.
    const actor = visitor?.tenantId === id && visitor.actor.kind === 'person' ? visitor.actor : undefined
    return inTenant(id, () => wall(db, query, actor))
  })
}
