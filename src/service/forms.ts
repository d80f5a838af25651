import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { LRUCache } from 'lru-cache'
import { parted, type Answers, type Form } from '../domain/form.ts'
import { Problem, says, type Finding, type Says } from '../domain/problems.ts'
import type { Decision, Item } from '../domain/request.ts'
import type { SealedAnswers } from './commit.ts'
import type { Keyring } from './keyring.ts'
import { sealSubject } from './subjects.ts'

/** What residents write into an item's form, checked and sealed. */

const ajv = new Ajv2020({ strict: true, allErrors: true, verbose: true, addUsedSchema: false })
formats.default(ajv)
ajv.addVocabulary(['x-personal', 'x-order'])

/** Versions of items are immutable: a form is compiled once. */
const compiled = new LRUCache<string, ValidateFunction>({ max: 1_000 })

/** @throws Error for what is no schema, which the domain's own subset leaves no way to be */
export const compiledForm = (form: Form): ValidateFunction => ajv.compile(form)

function validatorOf({ id, form }: { id: string; form: Form }): ValidateFunction {
  const known = compiled.get(id)
  if (known) return known
  const validate = compiledForm(form)
  compiled.set(id, validate)
  return validate
}

const MOST_FINDINGS = 20

/**
 * @returns what was filled in, what is personal apart from the rest; undefined where nothing is asked
 * @throws Problem validation-failed at `/form/…`
 */
export function checkAnswers({ id, form }: Pick<Item, 'id' | 'form'>, answers: Answers | undefined): ReturnType<typeof parted> | undefined {
  if (!form) {
    if (answers === undefined) return undefined
    throw new Problem('validation-failed', { errors: [{ pointer: '/form', code: 'unknown', message: says('这一项没有表单', 'This item has no form') }] })
  }
  const given = answers ?? {}
  const validate = validatorOf({ id, form })
  if (!validate(given)) throw new Problem('validation-failed', { errors: findings(validate.errors ?? []) })
  return parted(form, given)
}

/** Of a choice ajv tells each that was not meant, and then that none was. */
const findings = (errors: readonly ErrorObject[]): Finding[] =>
  errors.filter(({ keyword }) => keyword !== 'const').slice(0, MOST_FINDINGS).map((error) => ({ pointer: `/form${pointerOf(error)}`, ...wordsOf(error) }))

function pointerOf({ instancePath, keyword, params }: ErrorObject): string {
  const { missingProperty, additionalProperty } = params as { missingProperty?: string; additionalProperty?: string }
  return keyword === 'required' ? `${instancePath}/${missingProperty}` : keyword === 'additionalProperties' ? `${instancePath}/${additionalProperty}` : instancePath
}

const TYPES: Readonly<Record<string, Says>> = {
  string: says('应为文本', 'Expected text'), number: says('应为数字', 'Expected a number'), integer: says('应为整数', 'Expected a whole number'),
  boolean: says('应为 true 或 false', 'Expected true or false'), array: says('应为数组', 'Expected a list'),
}

function wordsOf({ keyword, params, schema }: ErrorObject): { code: string; message: Says } {
  const { limit = 0, type = 'string' } = params as { limit?: number; type?: string }
  switch (keyword) {
    case 'required': return { code: 'required', message: says('必填', 'Required') }
    case 'additionalProperties': return { code: 'unknown', message: says('表单中没有这个字段', 'Not a field of the form') }
    case 'type': return { code: 'type', message: TYPES[type] ?? says('类型不对', 'Of another type') }
    case 'minLength': return { code: 'too-small', message: says(`至少 ${limit} 个字`, `At least ${limit} characters`) }
    case 'maxLength': return { code: 'too-big', message: says(`最多 ${limit} 个字`, `At most ${limit} characters`) }
    case 'minItems': return { code: 'too-small', message: says(`至少 ${limit} 项`, `At least ${limit} entries`) }
    case 'maxItems': return { code: 'too-big', message: says(`最多 ${limit} 项`, `At most ${limit} entries`) }
    case 'minimum': return { code: 'too-small', message: says(`不能小于 ${limit}`, `Must not be less than ${limit}`) }
    case 'maximum': return { code: 'too-big', message: says(`不能大于 ${limit}`, `Must not be greater than ${limit}`) }
    case 'oneOf': {
      const known = (schema as { const: string }[]).map((one) => one.const).join('、')
      return { code: 'value', message: says(`只能是 ${known}`, 'Not one of the choices of the form') }
    }
    case 'uniqueItems': return { code: 'value', message: says('不能重复', 'Must not repeat') }
    default: return { code: 'format', message: says('格式不对', 'Not in the form that is asked for') }
  }
}

/** Personal answers as they are stored, with the event that they came with. */
export function sealAnswers(keyring: Keyring | undefined, { events: [event] }: Decision, filled: ReturnType<typeof parted> | undefined): SealedAnswers[] {
  if (!filled || !event || Object.keys(filled.personal).length === 0) return []
  // Of the doors only the bulk one has none: nobody fills in the same form for many.
  if (!keyring) throw new Problem('validation-failed', { errors: [{ pointer: '/form', code: 'unknown', message: says('批量办理时不能填表', 'Forms are not filled in in bulk') }] })
  return [{ requestId: event.requestId, seq: event.seq, ...sealSubject(keyring, { answers: filled.personal }) }]
}
