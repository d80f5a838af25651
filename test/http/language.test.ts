import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { code, cursor, day, instant, int4, phone, text, uuid } from '../../src/domain/atoms.ts'
import { BODIES } from '../../src/domain/bodies.ts'
import { limitSchema } from '../../src/domain/limit.ts'
import { PROBLEMS } from '../../src/domain/problems.ts'
import { reminderSchema, remindersSchema } from '../../src/domain/reminders.ts'
import { quietHoursSchema } from '../../src/domain/quiet-hours.ts'
import { languageOf } from '../../src/http/language.ts'
import { InputRefused } from '../../src/http/validation.ts'

const HAN = /\p{Script=Han}/u
/** English may quote what the caller is to write, and typographic quotes. */
const ENGLISH = /^[\x20-\x7e–—’“”…×≤]+$/

describe('what the caller hears is Chinese, or English and no Chinese', () => {
  test.each(Object.entries(PROBLEMS))('%s', (_, { zh, en }) => {
    expect(zh).toMatch(HAN)
    expect(en).toMatch(ENGLISH)
  })

  const SOURCE = join(import.meta.dirname, '../../src')
  const said = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts') && !name.includes('generated')).flatMap((name) => {
    const file = ts.createSourceFile(name, readFileSync(join(SOURCE, name), 'utf8'), ts.ScriptTarget.Latest, true)
    const found: { at: string; zh: string; en: string }[] = []
    const look = (node: ts.Node): void => {
      if (ts.isCallExpression(node) && node.expression.getText() === 'says' && node.arguments.length === 2) {
        const [zh, en] = node.arguments.map(literal)
        if (zh !== undefined && en !== undefined) found.push({ at: name, zh, en })
      }
      ts.forEachChild(node, look)
    }
    look(file)
    return found
  })

  /** Its own words, without what is filled in. */
  function literal(node: ts.Node): string | undefined {
    if (ts.isStringLiteralLike(node)) return node.text
    if (ts.isTemplateExpression(node)) return node.head.text + node.templateSpans.map((span) => `#${span.literal.text}`).join('')
    return undefined
  }

  test('every detail and every finding in the source', () => {
    expect(said.length).toBeGreaterThan(60)
    expect(said.filter(({ zh, en }) => !HAN.test(zh) || !ENGLISH.test(en))).toEqual([])
  })

  test('no check of a schema speaks in a language of its own choice', () => {
    const words = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => /^(domain|http)\/.*\.ts$/.test(name))
      .flatMap((name) => readFileSync(join(SOURCE, name), 'utf8').split('\n').filter((line) => /\.(regex|refine|min|max|check)\(.*\{ (error|message): ['"`]/.test(line)).map((line) => `${name}: ${line.trim()}`))
    expect(words).toEqual([])
  })
})

describe('findings', () => {
  const said = (schema: z.ZodType, input: unknown) =>
    (['zh', 'en'] as const).map((language) => new InputRefused(schema, input, 'body').findings(language))

  test.each<[string, z.ZodType, unknown]>([
    ['a missing field', z.strictObject({ a: z.string() }), {}],
    ['an unknown field', z.strictObject({}), { a: 1 }],
    ...[z.string(), z.number(), z.boolean(), z.array(z.string()), z.date(), z.null()].map((schema): [string, z.ZodType, unknown] => [`no ${schema.def.type}`, schema, { a: 1 }]),
    ['no object', z.strictObject({}), 'x'], ['no record', z.record(z.string(), z.int()), 7], ['no whole number', z.int(), 1.5], ['no tuple', z.tuple([z.int()]), {}],
    ['not a number', z.number(), Number.NaN], ['infinity', z.number(), Infinity],
    ['too short', text({ max: 5, min: 2 }), 'a'], ['empty', text({ max: 5 }), ''], ['too long', text({ max: 2 }), 'abc'], ['too few', z.array(z.int()).min(2), [1]], ['too many', z.array(z.int()).max(1), [1, 2]],
    ['too small', int4({ min: 1 }), 0], ['too great', int4(), 2 ** 31], ['too early', instant, '1800-01-01T00:00:00Z'], ['not a multiple', z.number().multipleOf(5), 7],
    ['none of several', z.enum(['a', 'b']), 'c'], ['not the one', z.literal('a'), 'b'], ['no branch', z.union([uuid, z.int()]), {}], ['no discriminator', z.discriminatedUnion('k', [z.strictObject({ k: z.literal('a') }), z.strictObject({ k: z.literal('b') })]), {}],
    ['no UUID', uuid, 'x'], ['no time', instant, 'x'], ['no day', day, 'x'], ['a day too far', day, '2999-01-01'], ['no e-mail address', z.email(), 'x'], ['no URL', z.url(), 'x'], ['no IP address', z.ipv4(), 'x'],
    ['no base64', z.base64(), '?'], ['no pattern', z.string().regex(/^a$/), 'b'], ['no prefix', z.string().startsWith('a'), 'b'], ['a bad key', z.record(uuid, z.int()), { x: 1 }],
    ['control characters', text({ max: 5 }), '\u0007'], ['half a character', text({ max: 5 }), '\ud800'], ['no code', code, '?'], ['no phone', phone, '1'], ['no cursor', cursor, '!'],
    ['no limit', limitSchema, '5'], ['a limit too long', limitSchema, '5000d'], ['no time of day', quietHoursSchema, { begins: '9', ends: '25:00', workingTimeOnly: true }],
    ['reminders out of order', remindersSchema, [{ at: true }, { share: 0.5 }]], ['a reminder that is none', reminderSchema, {}],
    ...Object.entries(BODIES).map(([verb, body]): [string, z.ZodType, unknown] => [`what ${verb} does not take`, body, { '?': 1 }]),
  ])('%s is told in both languages, by the same code at the same place', (_, schema, input) => {
    const [zh, en] = said(schema, input)
    expect(zh!.length).toBeGreaterThan(0)
    for (const { message } of zh!) expect(message).toMatch(HAN)
    for (const { message } of en!) expect(message).toMatch(ENGLISH)
    expect(zh!.map(({ pointer, code: sort }) => `${pointer} ${sort}`)).toEqual(en!.map(({ pointer, code: sort }) => `${pointer} ${sort}`))
  })

  const branch = (schema: z.ZodType, input: unknown) => said(schema, input)[1]!.map(({ pointer, code: sort }) => `${pointer} ${sort}`)

  test('of several branches the one that was meant is spoken of', () => {
    expect(branch(BODIES.adjudicate, { decision: 'reassign' })).toEqual(['/to required'])
    expect(branch(BODIES.adjudicate, { decision: 'reassign', to: '?', also: 1, note: 7 })).toEqual(['/to invalid', '/note type', '/also unknown'])
    expect(branch(BODIES.adjudicate, { note: 'x' })).toEqual(['/decision required'])
    expect(branch(BODIES.adjudicate, { decision: 'drop' })).toEqual(['/decision value'])
    expect(branch(BODIES['follow-up'], { reached: false, comment: 7, x: 1 })).toEqual(['/comment type', '/x unknown'])
    expect(branch(BODIES['follow-up'], { reached: true })).toEqual(['/solved required', '/satisfaction required'])
    expect(branch(reminderSchema, { share: 2, tell: ['nobody'] })).toEqual(['/share too-big', '/tell/0 value'])
    expect(branch(reminderSchema, { after: 'soon' })).toEqual(['/after format'])
    expect(branch(BODIES.file, { item: 'a', title: 'b', node: 'c', filer: { name: '', phone: '1', x: 1 } })).toEqual(['/filer/name too-small', '/filer/phone invalid', '/filer/x unknown'])
    expect(branch(BODIES.file, { item: 'a', title: 'b', node: 'c', filer: 'no uuid' })).toEqual(['/filer format'])
  })
})

test.each([
  [undefined, 'zh'], ['', 'zh'], ['zh-CN', 'zh'], ['en', 'en'], ['en-GB,en;q=0.9,zh;q=0.5', 'en'], ['zh;q=0.1, en;q=0.9', 'en'], ['en;q=0.5, zh;q=0.5', 'zh'], ['EN-us', 'en'],
  ['de', 'zh'], ['de, fr;q=0.9', 'zh'], ['de, en;q=0.1', 'en'], ['*', 'zh'], ['en, *;q=0.5', 'en'], ['zh;q=0, *', 'en'], ['*;q=0.1, zh;q=0.5', 'zh'],
  ['en;q=0', 'zh'], ['en;q=abc', 'zh'], ['zh;q=abc, en;q=0.1', 'en'], ['en;q=2', 'zh'], ['en;q=-1', 'zh'], [';;q=x,,', 'zh'], ['english', 'zh'], ['en;level=1;q=0.4, zh;q=0.3', 'en'], [`${'x,'.repeat(500)}en`, 'zh'],
])('Accept-Language %s is answered in %s', (accepted, spoken) => expect(languageOf(accepted)).toBe(spoken))
