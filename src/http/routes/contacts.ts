import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, instant, phone, text, uuid } from '../../domain/atoms.ts'
import { AUDIENCES, cardText, CONTACT_FIELDS, filingLinkSchema, type Audience } from '../../domain/contacts.ts'
import { says } from '../../domain/problems.ts'
import { putContactCard, readContactCards } from '../../service/contact-cards.ts'
import { putContactSettings, readContactSettings } from '../../service/contact-settings.ts'
import { board, boardByAddress, type Board } from '../../service/contacts.ts'
import { inTenant, type Db } from '../../service/db.ts'
import type { Keyring } from '../../service/keyring.ts'
import { publicTenant } from '../../service/tenants.ts'
import { contactPage, PAGE_SIZES, pagePolicy } from '../contact-page.ts'
import { PlaceSchema } from '../request-schema.ts'

const EXAMPLE_ID = '0195f2a0-7c1e-7abc-8def-0123456789ab'
const RoleName = z.strictObject({ code: z.string(), name: z.string() })
const ContactSchema = z.strictObject({
  role: RoleName, standIn: z.boolean().describe('替班人'), name: z.string().nullable().describe('本人同意公示才有'), phone: z.string().nullable().describe('工作电话；本人同意公示才有'),
}).meta({ id: 'Contact', description: '责任人', examples: [{ role: { code: 'building_head', name: '楼栋长' }, standIn: false, name: '胡示例', phone: '13800138000' }] })

const place = { id: EXAMPLE_ID, code: 'YQHF-02', name: '2号楼' }
const RungSchema = z.strictObject({
  node: PlaceSchema, level: z.string(), levelName: z.string(), vacant: z.boolean().describe('这一级暂缺'), answeredAt: PlaceSchema.nullable().describe('暂缺时由哪一级负责'),
  contacts: z.array(ContactSchema),
  organisations: z.array(z.strictObject({ id: uuid, code: z.string(), name: z.string(), kind: z.string(), contacts: z.array(ContactSchema) })).describe('物业、业委会、自管委和党组织'),
}).meta({ id: 'ContactRung', description: '一级', examples: [{ node: place, level: 'building', levelName: '楼栋', vacant: true, answeredAt: { ...place, code: 'YQHF', name: '银雀华府' }, contacts: [], organisations: [] }] })
const BoardSchema = z.strictObject({
  node: PlaceSchema,
  rungs: z.array(RungSchema).describe('由近到远，直到根节点'),
  filing: z.strictObject({ url: z.string().describe('二维码的内容'), card: z.string().nullable().describe('点单时带上（card），卡上的人即为首问责任人；各级都暂缺时为 null') }),
}).meta({ id: 'ContactBoard', description: '责任公示' })

const CardsSchema = z.strictObject({
  workPhone: z.string().nullable().describe('工作电话，不脱敏'),
  cards: z.array(z.strictObject({ duty: uuid, role: RoleName, node: PlaceSchema, fields: z.array(z.enum(CONTACT_FIELDS)), audience: z.enum(AUDIENCES).nullable().describe('从未表示同意时为 null'), changedAt: instant.nullable() })).describe('现任职责各一张'),
}).meta({ id: 'ContactCards', description: '我的连心卡' })

const NewCardSchema = z.strictObject({
  duty: uuid.optional().describe('哪一项职责；缺省为现任的全部'),
  fields: z.array(z.enum(CONTACT_FIELDS)).max(CONTACT_FIELDS.length).refine((fields) => new Set(fields).size === fields.length, { params: says('不能重复', 'Must not repeat') }).describe('同意公示的：name 姓名，phone 工作电话；空列表为撤回同意'),
  audience: z.enum(AUDIENCES).describe('residents 登录的居民，public 任何人（也印在公示牌和连心卡上）'),
  workPhone: phone.nullish().describe('工作电话；null 为删去，不写为不变'),
}).meta({ id: 'NewContactCard', examples: [{ fields: ['name', 'phone'], audience: 'public', workPhone: '13800138000' }] })

const SettingsSchema = z.strictObject({ filingLink: filingLinkSchema.nullable().describe('二维码通向的网址，须含 {node}，可含 {card}；null 为公示牌本身') })
  .meta({ id: 'ContactSettings', description: '责任公示的设置', examples: [{ filingLink: 'https://h5.example.cn/file?node={node}&card={card}' }] })

const tenantCode = code.optional().describe('租户代码；只有一个租户时可以不写').meta({ examples: ['371302002'] })
const node = z.strictObject({ id: z.union([uuid, code]).describe('节点 id 或代码').meta({ examples: ['YQHF-02-1'] }) })
const tags = ['网格']
const OPEN = { public: true, tokenOptional: true, problems: ['not-found'] } as const
const WHO = '不需要登录，只见本人同意向公众公示的；居民登录后还见同意向居民公示的。应用以自己的令牌视同公众。'

/** 公示牌 and 连心卡: who is responsible, so that everybody knows whom to call. */
export const contactRoutes = ({ db, keyring }: { db: Db; keyring: Keyring }): FastifyPluginAsyncZod => async (app) => {
  /** In the tenant that is asked for: at home a person is a resident, elsewhere one of the public. */
  async function open(request: FastifyRequest, tenant: string | undefined, read: (viewer: Audience, origin: string) => Promise<Board>): Promise<Board> {
    const { visitor } = request
    const id = visitor && tenant === undefined ? visitor.tenantId : await publicTenant(db, tenant)
    const viewer = visitor?.tenantId === id && visitor.actor.kind === 'person' ? 'residents' : 'public'
    return inTenant(id, () => read(viewer, `${request.protocol}://${request.host}`))
  }
  const unkept = (reply: FastifyReply) => reply.header('cache-control', 'no-store')

  app.get('/v1/nodes/:id/contacts', {
    config: OPEN,
    schema: {
      tags, summary: '责任公示', operationId: 'getNodeContacts', description: `这个地点由谁负责：由近到远各级的任职人（替班时为替班人）和组织；暂缺的一级说明由谁负责。${WHO}`,
      params: node, querystring: z.strictObject({ tenant: tenantCode }), response: { 200: BoardSchema },
    },
  }, (request, reply) => open(unkept(reply).request, request.query.tenant, (viewer, origin) => board(db, keyring, request.params.id, viewer, origin)))

  app.get('/v1/contacts', {
    config: OPEN,
    schema: {
      tags, summary: '按地址查责任人', operationId: 'findContacts', description: `认出地址中最近的节点；同样近的有几个时，回答它们共同的上级。${WHO}`,
      querystring: z.strictObject({ address: text({ max: 200 }).describe('地址或门牌代码').meta({ examples: ['银雀华府2号楼1单元502', '银雀华府2-1-502', 'YQHF-02-1-502'] }), tenant: tenantCode }), response: { 200: BoardSchema },
    },
  }, (request, reply) => open(unkept(reply).request, request.query.tenant, (viewer, origin) => boardByAddress(db, keyring, request.query.address, viewer, origin)))

  app.get('/v1/nodes/:id/contacts.html', {
    config: OPEN,
    schema: {
      tags, summary: '打印连心卡、公示牌', operationId: 'getNodeContactsPage', description: `可直接打印的网页，二维码通向点单。${WHO}`, produces: ['text/html'],
      params: node,
      querystring: z.strictObject({
        size: z.enum(PAGE_SIZES).default('a4').describe('card 连心卡，a4、a3 公示牌'), tenant: tenantCode,
        card: z.union([z.literal(''), cardText]).optional().describe('由扫码的小程序读取，点单时带上'),
      }),
      response: { 200: z.string().describe('网页') },
    },
  }, async (request, reply) => {
    const { size, tenant, card = '' } = request.query
    const found = await open(request, tenant, (viewer, origin) => board(db, keyring, request.params.id, viewer, origin))
    return unkept(reply).header('content-security-policy', pagePolicy(size)).type('text/html; charset=utf-8').serializer(String).send(contactPage(found, size, card !== ''))
  })

  app.get('/v1/me/contact-cards', {
    schema: { tags: ['我的'], summary: '我的连心卡', operationId: 'getMyContactCards', response: { 200: CardsSchema } },
  }, ({ actor }) => readContactCards(db, keyring, actor))

  app.put('/v1/me/contact-card', {
    config: { problems: ['person-erased'] },
    schema: {
      tags: ['我的'], summary: '同意或撤回公示', operationId: 'putMyContactCard', description: '公示哪些信息、给谁看，只由本人决定，随时可以撤回，即时生效；每次变更记入审计。',
      body: NewCardSchema, response: { 200: CardsSchema },
    },
  }, ({ body, actor }) => putContactCard(db, keyring, body, actor))

  app.get('/v1/contact-settings', {
    schema: { tags, summary: '查看二维码通向哪里', operationId: 'getContactSettings', response: { 200: SettingsSchema } },
  }, () => readContactSettings(db))

  app.put('/v1/contact-settings', {
    schema: { tags, summary: '规定二维码通向哪里', operationId: 'putContactSettings', description: '小程序或 H5 的点单页。已经印出的不变。', body: SettingsSchema, response: { 200: SettingsSchema } },
  }, ({ body, actor }) => putContactSettings(db, body, actor))
}
