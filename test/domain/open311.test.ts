import { describe, expect, test } from 'vitest'
import { formSchema } from '../../src/domain/form.ts'
import { STATE_NAMES, VERBS, type State } from '../../src/domain/machine.ts'
import { answersFrom, attributesOf, mediaApart, pathInWords, shortened, statesOf, statusOf, titleOf, updateFrom, withMedia } from '../../src/domain/open311.ts'

const form = formSchema.parse({
  type: 'object', additionalProperties: false, required: ['use', 'copies'],
  properties: {
    use: { type: 'string', title: '用途', oneOf: [{ const: 'work', title: '就业' }, { const: 'school', title: '入学' }] }, copies: { type: 'integer', title: '份数', description: '一式几份' },
    note: { type: 'string', title: '备注' }, plate: { type: 'string', title: '车牌', maxLength: 10 }, at: { type: 'string', title: '时间', format: 'date-time' }, day: { type: 'string', title: '日期', format: 'date' }, urgent: { type: 'boolean', title: '加急' },
    papers: { type: 'array', title: '材料', uniqueItems: true, items: { type: 'string', oneOf: [{ const: 'id', title: '身份证' }] } },
  },
})

test('every state is open or closed, and every one of them is found by it', () => {
  expect(STATE_NAMES.filter((state) => statusOf(state) === 'closed')).toEqual(['rejected', 'completed', 'closed', 'withdrawn'])
  expect([...statesOf(['open']), ...statesOf(['closed'])].sort()).toEqual([...STATE_NAMES].sort())
})

test('a form is a service definition', () => {
  expect(attributesOf(form).map(({ code, datatype, required, order }) => [order, code, datatype, required])).toEqual([
    [1, 'use', 'singlevaluelist', true], [2, 'copies', 'number', true], [3, 'note', 'text', false], [4, 'plate', 'string', false], [5, 'at', 'datetime', false], [6, 'day', 'datetime', false],
    [7, 'urgent', 'singlevaluelist', false], [8, 'papers', 'multivaluelist', false],
  ])
  expect(attributesOf(form)[0]).toMatchObject({ variable: true, description: '用途', datatype_description: null, values: [{ key: 'work', name: '就业' }, { key: 'school', name: '入学' }] })
})

test('attributes become answers of the kind the form asks', () => {
  expect(answersFrom(form, { 'attribute[use]': 'work', 'attribute[copies]': '2', 'attribute[urgent]': 'true', 'attribute[papers][]': ['id'], 'attribute[note]': '', api_key: 'x' }))
    .toEqual({ use: 'work', copies: 2, urgent: true, papers: ['id'] })
  expect(answersFrom(form, { 'attribute[papers]': 'id', 'attribute[copies]': 'two', 'attribute[other]': 'y', 'attribute[__proto__]': 'z' })).toEqual({ papers: ['id'], copies: 'two', other: 'y', ['__proto__']: 'z' })
  expect(answersFrom(form, { description: 'x' })).toBeUndefined()
  // As PHP writes lists; and a client that asks for a moment where a day is wanted.
  expect(answersFrom(form, { 'attribute[papers][0]': 'id', 'attribute[papers][1]': 'deed', 'attribute[day]': '2026-11-22T09:00:00+08:00' })).toEqual({ papers: ['id', 'deed'], day: '2026-11-22' })
  expect(answersFrom(form, { 'attribute[day]': 'tomorrow' })).toEqual({ day: 'tomorrow' })
})

test.each([
  ['路灯不亮。已经三天了', '路灯不亮'], ['\n\n 第二行\n', '第二行'], [undefined, '楼道灯维修'], ['', '楼道灯维修'], ['字'.repeat(50), `${'字'.repeat(39)}…`], ['a\u0007b', 'a b'],
])('the title of %j is %s', (description, title) => expect(titleOf(description, '楼道灯维修')).toBe(title))

test('what is too long ends where a character does', () => {
  expect(shortened('灯不亮', 3)).toBe('灯不亮')
  expect(shortened('灯不亮了', 3)).toBe('灯不…')
  expect(shortened('😀😀😀', 4)).toBe('😀…')
})

test('a link goes into the words and comes out again', () => {
  for (const words of ['灯不亮', '两\n行', undefined]) expect(mediaApart(withMedia(words, ['https://example.cn/a.jpg'], 100)!)).toEqual({ words: words ?? null, media: 'https://example.cn/a.jpg' })
  expect(mediaApart(withMedia('灯不亮', ['https://example.cn/a.jpg', 'https://example.cn/b.jpg'], 100)!)).toEqual({ words: '灯不亮\n附图：https://example.cn/b.jpg', media: 'https://example.cn/a.jpg' })
  // The words give way, not the link.
  const long = withMedia('字'.repeat(100), ['https://example.cn/a.jpg'], 100)!
  expect(long).toHaveLength(100)
  expect(mediaApart(long)).toEqual({ words: expect.stringMatching(/^字{70,}…$/), media: 'https://example.cn/a.jpg' })
  expect(withMedia('灯不亮', [], 2)).toBe('灯不亮')
  expect(mediaApart('没有图')).toEqual({ words: '没有图', media: null })
  expect(mediaApart(null)).toEqual({ words: null, media: null })
})

describe('a comment from outside', () => {
  test.each<[State, 'open' | 'closed', string | undefined]>([
    ['filed', 'open', 'urge'], ['in_progress', 'open', 'urge'], ['returned', 'open', 'resubmit'], ['completed', 'open', 'reopen'], ['closed', 'open', 'reopen'],
    ['filed', 'closed', 'withdraw'], ['returned', 'closed', 'withdraw'], ['in_progress', 'closed', 'withdraw'], ['completed', 'closed', undefined], ['withdrawn', 'closed', undefined],
  ])('in %s, %s, is %s', (state, status, verb) => expect(updateFrom(state, status, '灯还是不亮')?.verb).toBe(verb))

  test('is always a verb that the filer may call', () => {
    for (const state of STATE_NAMES) for (const status of ['open', 'closed'] as const) {
      const update = updateFrom(state, status, 'x')
      if (update) expect(VERBS[update.verb].edges.some(({ by }) => (by as readonly string[]).includes('filer'))).toBe(true)
    }
  })
})

describe('an address', () => {
  const nodes = [
    { name: '银雀华府', path: 'S/C/Y/' }, { name: '3号楼', path: 'S/C/Y/Y-03/' }, { name: '13号楼', path: 'S/C/Y/Y-13/' }, { name: '3号楼', path: 'S/C/Z/Z-03/' }, { name: '金雀花园', path: 'S/C/Z/' }, { name: '银雀山街道', path: 'S/' },
  ]
  const path = (address: string) => pathInWords(nodes.filter(({ name }) => address.includes(name)))
  test.each([
    ['银雀华府3号楼', 'S/C/Y/Y-03/'], ['银雀华府13号楼门口', 'S/C/Y/Y-13/'], ['金雀花园3号楼', 'S/C/Z/Z-03/'], ['银雀华府东门', 'S/C/Y/'], ['3号楼', 'S/C/'], ['银雀山街道办事处', 'S/'], ['别处', ''],
  ])('%s is %s', (address, found) => expect(path(address)).toBe(found))
})
