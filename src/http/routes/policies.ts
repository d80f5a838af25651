import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { code, cursor, instant, limit, uuid } from '../../domain/atoms.ts'
import { STEPS, type OnDue, type Step } from '../../domain/machine.ts'
import { policySchema } from '../../domain/policy.ts'
import { TELLABLE, reminderSchema } from '../../domain/reminders.ts'
import type { Db } from '../../service/db.ts'
import { listPolicies, listVersions, putPolicy } from '../../service/policies.ts'
import { previewPolicy } from '../../service/policy-preview.ts'
import { PageSchema, PlaceSchema } from '../request-schema.ts'

const ref = z.union([uuid, code])

const BodySchema = policySchema.meta({ id: 'PolicyBody', description: '时限规则' })
/** As it is sent: whatever is left out is as shipped. What is answered says all of it. */
const NewBodySchema = policySchema.meta({ id: 'NewPolicyBody', description: '时限规则；省略的项目按出厂值' })

const PolicySchema = z
  .strictObject({
    id: uuid,
    code: z.string(),
    version: z.int().describe('在该节点的版本，从 1 起；版本不再改变'),
    node: PlaceSchema.describe('在哪里规定：管它和它的下级，直到更近的另有规定'),
    body: BodySchema,
    createdAt: instant,
  })
const InForceSchema = PolicySchema.extend({ inherited: z.boolean().describe('由上级节点继承') }).meta({ id: 'Policy', description: '现行的时限规则' })
const WrittenSchema = PolicySchema.extend({ operation: uuid.nullable().describe('applyToOpen 时：重算办理中点单的任务，见 /v1/operations') }).meta({ id: 'WrittenPolicy', description: '已规定的时限' })
const VersionSchema = PolicySchema.extend({ inForce: z.boolean().describe('是该节点的最新版本') }).meta({ id: 'PolicyVersion', description: '时限规则的一个版本' })

const NewPolicySchema = z
  .strictObject({
    node: ref.describe('节点 id 或代码'),
    body: NewBodySchema,
    applyToOpen: z.boolean().optional().describe('也用于办理中的点单；缺省只用于新的点单'),
  })
  .meta({
    id: 'NewPolicy',
    examples: [{
      node: 'YQHF',
      body: {
        limits: { accept: '4wh', sign: '4wh', complete: '5wd' },
        reminders: [{ share: 0.75 }, { at: true, tell: ['assignee', 'dispatch'] }, { after: '1wd', tell: ['first_contact'] }],
        stepReminders: { complete: [{ before: '2wd' }, { before: '1wd', tell: ['assignee', 'dispatch'] }] },
        rungEvery: '1wd', rungEveryAt: { building: '4wh' },
      },
    }],
  })

const StepNames = z.enum(Object.keys(STEPS) as [Step, ...Step[]])
const steps = Object.entries(STEPS).map(([step, { zh }]) => `${step} ${zh}`).join('，')
const ON_DUE: Record<OnDue, string> = { escalate: '逐级升级督办', withdraw: '撤单', backstop: '兜底', widen: '扩大认领范围', release: '释放认领', unpark: '销账', close: '结案' }

const PreviewSchema = z
  .strictObject({
    from: instant.describe('假定各环节都从这时开始'),
    steps: z.array(z.strictObject({
      step: StepNames.describe(`环节：${steps}`),
      dueAt: instant,
      provisional: z.boolean().describe('跨入尚未公布节假日的年份'),
      onDue: z.enum(Object.keys(ON_DUE) as [OnDue, ...OnDue[]]).describe(`到期时：${Object.entries(ON_DUE).map(([name, words]) => `${name} ${words}`).join('，')}`),
      reminders: z.array(z.strictObject({
        when: reminderSchema.describe('规则中的写法'),
        tell: z.array(z.string()).describe(`提醒谁：${TELLABLE.join('、')}`),
        at: instant.nullable().describe('null：会早于环节开始，不提醒'),
      })),
      rungs: z.array(z.strictObject({
        level: z.string(), levelName: z.string(), node: PlaceSchema.nullable(),
        at: instant.nullable().describe('督办移到这一级的时间；跳过的为 null'),
        skipped: z.enum(['vacant', 'same-person']).nullable().describe('vacant 无人在岗，same-person 与下级是同一人'),
      })).describe('自下而上的各级'),
      topRemindedFrom: instant.nullable().describe('从这时起每个工作日提醒最高一级'),
    })),
  })
  .meta({ id: 'PolicyPreview', description: '时限规则的含义：每个环节的到期、提醒和升级时间' })

const params = z.strictObject({ code: code.describe('时限规则代码').meta({ examples: ['standard'] }) })
const at = ref.describe('节点 id 或代码').meta({ examples: ['YQHF'] })

/** 时限: limits, reminders and the ladder, per place; versions are immutable. */
export const policyRoutes = ({ db }: { db: Db }): FastifyPluginAsyncZod => async (app) => {
  app.get('/v1/policies', {
    config: { audience: 'staff', problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['时限'], summary: '现行时限规则', operationId: 'listPolicies', description: '给出 node 时为在该节点现行的各项规则，含继承的；否则为各节点自己规定的。按代码排序。',
      querystring: z.strictObject({ node: at.optional(), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(InForceSchema), page: PageSchema }) },
    },
  }, ({ query }) => listPolicies(db, query))

  app.get('/v1/policies/:code', {
    config: { problems: ['not-found', 'cursor-unusable'] },
    schema: {
      tags: ['时限'], summary: '时限规则的历次版本', operationId: 'listPolicyVersions', description: '最新的在前。',
      params, querystring: z.strictObject({ node: at.optional().describe('只看在这个节点规定的'), limit, cursor: cursor.optional() }),
      response: { 200: z.strictObject({ data: z.array(VersionSchema), page: PageSchema }) },
    },
  }, ({ params: { code: policy }, query }) => listVersions(db, policy, query))

  app.put('/v1/policies/:code', {
    config: { problems: ['node-unknown'] },
    schema: {
      tags: ['时限'], summary: '规定时限', operationId: 'putPolicy',
      description: '在节点上建立规则的新版本，需要对它有管理权限（administer）。省略的项目按出厂值。已点的单保持点单时的版本；applyToOpen 时办理中的也改按新版本：由后台任务逐件重算，每件都有 request.rescheduled 事件，哪些件见 /v1/operations/{operation}/requests；时限不会因此早于下一个工作日结束。与现行内容相同的不产生新版本。',
      params, body: NewPolicySchema, response: { 200: WrittenSchema.describe('与现行内容相同'), 201: WrittenSchema },
    },
  }, async ({ params: { code: policy }, body, actor }, reply) => {
    const { policy: written, isNew, operation } = await putPolicy(db, { ...body, code: policy }, actor)
    if (isNew) reply.code(201).header('location', `/v1/policies/${policy}`)
    return { ...written, operation }
  })

  app.post('/v1/policies/:code/preview', {
    config: { audience: 'staff', problems: ['node-unknown', 'not-found'] },
    schema: {
      tags: ['时限'], summary: '试算时限规则', operationId: 'previewPolicy', description: '每个环节的到期、提醒和逐级升级的时间，按该节点的工作日历和现在在岗的人员；不保存。',
      params,
      body: z.strictObject({
        node: ref.optional().describe('节点 id 或代码；缺省按租户的各层级，各级都有人'),
        body: NewBodySchema.optional().describe('缺省为现行规则'),
        from: instant.optional().describe('缺省为现在'),
      }).meta({ id: 'PolicyPreviewQuery', examples: [{ node: 'YQHF-03', from: '2026-09-30T02:00:00Z', body: { limits: { complete: '5wd' } } }] }),
      response: { 200: PreviewSchema },
    },
  }, ({ params: { code: policy }, body }) => previewPolicy(db, { code: policy, ...body }))
}
