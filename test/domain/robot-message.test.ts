import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { buildCalendar, DEFAULT_WEEK } from '../../src/domain/calendar.ts'
import { KEYWORD, MOST_LINES, compose, testMessage, type Line } from '../../src/domain/robot-message.ts'

const calendar = buildCalendar({ zone: 'Asia/Shanghai', week: DEFAULT_WEEK })
const line = (n: number, differs: Partial<Line> = {}): Line => ({
  number: `WX20261121-${String(n).padStart(6, '0')}`, kind: 'service', item: '楼道灯维修', place: '银雀华府 3号楼', headline: '到期提醒：签收',
  dueAt: new Date('2026-11-23T10:00:00Z'), urgent: false, link: `https://wish.example.cn/r/WX20261121-${String(n).padStart(6, '0')}`, ...differs,
})
const bytes = (text: string) => Buffer.byteLength(text)
const all = (count: number, differs: Partial<Line> = {}) => Array.from({ length: count }, (_, index) => line(index + 1, differs))

describe('a single message', () => {
  test('says number, item, place, due and link, by the clock of the place', () => {
    expect(compose([line(1)], 1, calendar, 2048)).toBe(`【心愿墙】到期提醒：签收
单号：WX20261121-000001
事项：楼道灯维修
地点：银雀华府 3号楼
时限：2026-11-23 18:00
查看：https://wish.example.cn/r/WX20261121-000001`)
  })

  test('of a confidential matter says its kind; one without a time limit none; an urgent one says so', () => {
    expect(compose([line(1, { kind: 'mediation', item: null, place: '梨杭村', headline: '派单', dueAt: null, urgent: true })], 1, calendar, 2048)).toBe(`【心愿墙】【急】派单
单号：WX20261121-000001
事项：调解
地点：梨杭村
查看：https://wish.example.cn/r/WX20261121-000001`)
  })
})

describe('a digest', () => {
  test('has one line and one link each, the urgent first, then what is due first', () => {
    const text = compose([line(1, { dueAt: null }), line(2, { dueAt: new Date('2026-11-24T10:00:00Z') }), line(3), line(4, { urgent: true, dueAt: null })], 4, calendar, 20_000)
    expect(text.split('\n')[0]).toBe('【心愿墙】4 件待关注')
    expect([...text.matchAll(/｜(WX\S+?)｜/g)].map(([, number]) => number!.at(-1))).toEqual(['4', '3', '2', '1'])
    expect(text.match(/https:\/\/\S+/g)).toHaveLength(4)
    expect(text).not.toContain('还有')
    expect(text).toContain('1. 【急】到期提醒：签收｜WX20261121-000004｜楼道灯维修｜银雀华府 3号楼\nhttps')
    expect(text).toContain('｜时限 2026-11-24 18:00\n')
  })

  test('counts those it has no room for', () => {
    const text = compose(all(MOST_LINES + 5), MOST_LINES + 5, calendar, 20_000)
    expect(text.match(/https:/g)).toHaveLength(MOST_LINES)
    expect(text.endsWith('\n还有 5 件…')).toBe(true)
    expect(compose(all(MOST_LINES), 4_000, calendar, 20_000).endsWith(`\n还有 ${4_000 - MOST_LINES} 件…`)).toBe(true)
  })

  test('never is longer than the vendor takes, and shows and counts every event once', () => {
    fc.assert(fc.property(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 60, max: 4000 }), fc.string({ maxLength: 60, unit: 'grapheme' }), (count, most, place) => {
      const text = compose(all(count, { place }), count, calendar, most)
      expect(bytes(text)).toBeLessThanOrEqual(most)
      const shown = text.match(/｜WX\d{8}-\d{6}｜/g)?.length ?? 0
      const rest = Number(/还有 (\d+) 件…$/.exec(text)?.[1] ?? 0)
      expect(shown + rest).toBe(count)
    }))
  })
})

test('a single one that is too long is cut at a whole character', () => {
  for (let most = 40; most < 200; most++) {
    const text = compose([line(1, { place: '𠮷'.repeat(60) })], 1, calendar, most)
    expect(bytes(text)).toBeLessThanOrEqual(most)
    expect(text).not.toMatch(/\p{Surrogate}/u)
  }
})

test('names cannot mention anybody, nor make lines of their own', () => {
  for (const text of [compose([line(1, { place: '<at user_id="all">所有人</at>', item: '修\n单号：WX1\u2028灯' })], 1, calendar, 2048), testMessage('<@all>\n楼')]) {
    expect(text).not.toMatch(/[<>]/)
    expect(text).not.toMatch(/^单号：WX1$/m)
    expect(text).toContain(KEYWORD)
  }
})
