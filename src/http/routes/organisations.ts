import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, limit, text, uuid } from '../../domain/atoms.ts'
import { ORGANISATION_KINDS, ORGANISATION_KIND_NAMES } from '../../domain/organisations.ts'
import { uscc } from '../../domain/uscc.ts'
import type { Db } from '../../service/db.ts'
import { createOrganisation, listOrganisations } from '../../service/organisations.ts'
import { PageSchema } from '../request-schema.ts'

const kinds = Object.entries(ORGANISATION_KINDS).map(([kind, name]) => `${kind} ${name}`).join('，')

const OrganisationSchema = z
  .strictObject({
    id: uuid,
    code: z.string().describe('派单、认领时可代替 id'),
    name: z.string(),
    kind: z.enum(ORGANISATION_KIND_NAMES).describe(`种类：${kinds}`),
    uscc: z.string().nullable().describe('统一社会信用代码'),
    node: z.strictObject({ id: uuid, code: z.string(), name: z.string() }).describe('所在节点'),
  })
  .meta({
    id: 'Organisation', description: '组织',
    examples: [{
      id: '0195f2a0-7c1e-7abc-8def-0123456789ab', code: 'YZ-PROPERTY', name: '沂州物业', kind: 'property', uscc: null,
      node: { id: '0195f2a0-7c1e-7abc-8def-0123456789ab', code: 'YQHF', name: '银雀华府' },
    }],
  })

const NewOrganisationSchema = z
  .strictObject({
    node: z.union([uuid, code]).describe('所在节点 id 或代码'),
    code: code.describe('租户内唯一'),
    name: text({ max: 60 }),
    kind: z.enum(ORGANISATION_KIND_NAMES).describe(`种类：${kinds}`),
    uscc: uscc.optional().describe('统一社会信用代码（GB 32100）'),
  })
  .meta({ id: 'NewOrganisation', examples: [{ node: 'YQHF', code: 'YQHF-YWH', name: '银雀华府业主委员会', kind: 'owners_committee' }] })

/** 组织: party organisations, property firms, committees, enterprises, teams. */
export const organisationRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/organisations', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['组织与人员'], summary: '组织列表', operationId: 'listOrganisations', description: '按代码排序。',
      querystring: z.strictObject({
        under: z.union([uuid, code]).optional().describe('节点 id 或代码：在它及以下的组织').meta({ examples: ['YQHF'] }),
        kind: z.enum(ORGANISATION_KIND_NAMES).optional().describe(`种类：${kinds}`).meta({ examples: ['property'] }),
        q: text({ max: 60 }).optional().describe('名称或代码中含有的文字').meta({ examples: ['物业'] }),
        limit,
        cursor: cursor.optional(),
      }),
      response: { 200: z.strictObject({ data: z.array(OrganisationSchema), page: PageSchema }) },
    },
  }, ({ query }) => listOrganisations(db, query))

  app.post('/v1/organisations', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['组织与人员'], summary: '新建组织', operationId: 'createOrganisation', description: '需要对所在节点有管理权限（administer）。企业也可由其代办人自行报到。',
      body: NewOrganisationSchema, response: { 201: OrganisationSchema },
    },
  }, async ({ body, actor }, reply) => reply.code(201).send(await createOrganisation(db, body, actor)))
}
