import { z } from 'zod'
import { code, int4, otherwise, text } from './atoms.ts'
import { LONGEST_MATCHED, patternRefused } from './form-pattern.ts'
import { says } from './problems.ts'
import type { Decision } from './request.ts'

/**
 * 表单: what an item asks besides title and description (S2: 填表、审核). A closed subset of JSON Schema 2020-12: one object
 * of plain fields, so that it can be shown by any app, sent through Open311, and checked in bounded time. Nothing in it refers
 * to anything outside it.
 */

const FIELD_TITLE = text({ max: 60 }).describe('字段名称')
const described = {
  title: FIELD_TITLE,
  description: text({ max: 300 }).optional().describe('填写说明'),
  'x-personal': z.literal(true).optional().describe('个人信息：加密保存，随诉求人的信息一起删除'),
}

const choice = z.strictObject({ const: text({ max: 60 }).describe('选项代码'), title: text({ max: 60 }).describe('选项名称') })
const choices = z.array(choice).min(1).max(60).refine((list) => new Set(list.map((one) => one.const)).size === list.length, otherwise(says('选项代码不能重复', 'Choices must not repeat')))

const pattern = z.string().max(200)
  .refine((value) => patternRefused(value) !== 'not-plain', otherwise(says('只支持简单的正则表达式：不能重复分组，不能用断言和反向引用', 'Plain patterns only: no repeated groups, look-around or back-references')))
  .refine((value) => patternRefused(value) !== 'too-costly', otherwise(says('正则表达式过于复杂', 'The pattern is too costly')))

const length = int4({ min: 0, max: 4_000 }).optional()
const bound = z.number().min(-1e12).max(1e12).optional()

const words = z.strictObject({
  type: z.literal('string'), ...described, minLength: length, maxLength: length, pattern: pattern.optional(), format: z.enum(['date', 'date-time', 'email']).optional(),
}).refine((field) => field.pattern === undefined || (field.maxLength ?? Infinity) <= LONGEST_MATCHED,
  { params: says(`有 pattern 的须有不超过 ${LONGEST_MATCHED} 的 maxLength`, `With a pattern, maxLength of at most ${LONGEST_MATCHED} is required`), path: ['maxLength'] })
const one = z.strictObject({ type: z.literal('string'), ...described, oneOf: choices.describe('单选') })
const quantity = z.strictObject({ type: z.enum(['integer', 'number']), ...described, minimum: bound, maximum: bound })
const flag = z.strictObject({ type: z.literal('boolean'), ...described })
const several = z.strictObject({
  type: z.literal('array'), ...described, items: z.strictObject({ type: z.literal('string'), oneOf: choices }).describe('多选'),
  minItems: int4({ min: 0, max: 60 }).optional(), maxItems: int4({ min: 1, max: 60 }).optional(), uniqueItems: z.literal(true),
})

const field = z.union([
  words.meta({ title: '文字' }), one.meta({ title: '单选' }), quantity.meta({ title: '数字' }), flag.meta({ title: '是否' }), several.meta({ title: '多选' }),
])

const MOST_FIELDS = 40
/** Of the whole schema, as JSON. */
const MOST_CHARACTERS = 32_768

export const formSchema = z.strictObject({
  type: z.literal('object'),
  properties: z.record(code, field).refine((all) => Object.keys(all).length <= MOST_FIELDS, otherwise(says(`最多 ${MOST_FIELDS} 个字段`, `At most ${MOST_FIELDS} fields`))).describe('字段'),
  required: z.array(code).max(MOST_FIELDS).optional().describe('必填的字段'),
  additionalProperties: z.literal(false),
  'x-order': z.array(code).max(MOST_FIELDS).optional().describe('字段显示的先后；缺省为 properties 中的先后'),
}).refine(({ properties, required = [] }) => required.every((name) => Object.hasOwn(properties, name)), { params: says('须为 properties 中的字段', 'Must be among properties'), path: ['required'] })
  .refine(({ properties, 'x-order': order }) => order === undefined || [...order].sort().join() === Object.keys(properties).sort().join(),
    { params: says('须列出 properties 中的每个字段各一次', 'Must name each of properties once'), path: ['x-order'] })
  .refine((form) => JSON.stringify(form).length <= MOST_CHARACTERS, otherwise(says('表单过大', 'The form is too large')))
  .meta({
    id: 'Form', description: '表单：JSON Schema（2020-12）的子集，只有一层字段',
    examples: [{
      type: 'object', additionalProperties: false, required: ['use'],
      properties: {
        use: { type: 'string', title: '用途', oneOf: [{ const: 'work', title: '就业' }, { const: 'school', title: '入学' }] },
        idNumber: { type: 'string', title: '身份证号', maxLength: 18, pattern: '^\\d{17}[\\dX]$', 'x-personal': true },
        copies: { type: 'integer', title: '份数', minimum: 1, maximum: 5 },
      },
    }],
  })

export type Form = z.output<typeof formSchema>
export type Field = z.output<typeof field>

/** JSON has no order of members, and PostgreSQL keeps none: it is written down. */
export const ordered = (form: Form): Form => ({ ...form, 'x-order': form['x-order'] ?? Object.keys(form.properties) })
export const fieldsOf = (form: Form): [name: string, field: Field, isRequired: boolean][] =>
  ordered(form)['x-order']!.map((name) => [name, form.properties[name]!, form.required?.includes(name) ?? false])

/** What is written into a form, before it is known which form it is. */
export const answersSchema = z.record(code, z.union([text({ max: 4_000, multiline: true }), z.number(), z.boolean(), z.array(text({ max: 60 })).max(60)]))
  .refine((all) => Object.keys(all).length <= MOST_FIELDS, otherwise(says(`最多 ${MOST_FIELDS} 个字段`, `At most ${MOST_FIELDS} fields`)))
export type Answers = z.output<typeof answersSchema>

/** What is personal is sealed, the rest is words among words. */
export function parted({ properties }: Form, answers: Answers): { plain: Answers; personal: Answers } {
  const of = (wanted: boolean): Answers => Object.fromEntries(Object.entries(answers).filter(([name]) => (properties[name]?.['x-personal'] === true) === wanted))
  return { plain: of(false), personal: of(true) }
}

/** A decision that also writes what was filled in: at its first event, which is the one that somebody made. */
export function withAnswers(decision: Decision, plain: Answers): Decision {
  const [event, ...more] = decision.events
  if (!event) return decision
  const { requestId, seq } = event
  return {
    ...decision,
    events: [{ ...event, data: { ...event.data, form: decision.after.item.id } }, ...more],
    texts: [...decision.texts, { requestId, seq, field: 'form', body: JSON.stringify(plain) }],
  }
}
