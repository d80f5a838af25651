import { describe, expect, test } from 'vitest'
import { rank, type Candidacy, type Sought } from '../../src/domain/candidates.ts'

const electrics = { code: 'electrics', name: '水电维修' }
const haircut = { code: 'haircut', name: '理发' }
const LEVELS = ['street', 'community', 'compound', 'building', 'unit']
const NAMES = ['街道', '社区', '小区', '楼栋', '单元']

/** Somebody with so many places in common with a request in a unit. */
const somebody = (id: string, { near = 3, ...more }: Partial<Candidacy> = {}): Candidacy =>
  ({ id, skills: [], near, level: { code: LEVELS[near - 1]!, name: NAMES[near - 1]! }, load: 0, returns: 0, ...more })
const sought: Sought = { skills: ['electrics'], depth: 5 }
const skilled = (level: number) => ({ skills: [{ ...electrics, level }] })
const order = (candidates: Candidacy[], wanted = sought) => rank(candidates, wanted).map(({ candidate: { id } }) => id)

describe('the order', () => {
  test.each<[string, Candidacy, Candidacy]>([
    ['who can do it before who is near', somebody('a', { ...skilled(3), near: 2 }), somebody('b', { near: 5 })],
    ['the higher level of two', somebody('a', skilled(5)), somebody('b', skilled(4))],
    ['the nearer of two', somebody('a', { near: 4 }), somebody('b', { near: 3 })],
    ['who has less in hand', somebody('a', { load: 1 }), somebody('b', { load: 2 })],
    ['who sent nothing back', somebody('a', { load: 1 }), somebody('b', { returns: 1 })],
    ['of the fully loaded the one with less', somebody('b', { load: 6 }), somebody('a', { load: 9 })],
    ['of equals the one whose id comes first', somebody('a'), somebody('b')],
  ])('%s', (_, first, second) => {
    expect(order([first, second])).toEqual([first.id, second.id])
    expect(order([second, first])).toEqual([first.id, second.id])
  })

  test('of two skills wanted both count: two at 3 before one at 5', () => {
    const both = somebody('both', { skills: [{ ...electrics, level: 3 }, { ...haircut, level: 3 }] })
    expect(order([somebody('one', skilled(5)), both], { skills: ['electrics', 'haircut'], depth: 5 })).toEqual(['both', 'one'])
  })

  test('a skill that nobody asked for counts nothing', () => {
    const [first] = rank([somebody('a', { skills: [{ ...haircut, level: 5 }] })], sought)
    expect(first).toMatchObject({ score: 33, because: [{ zh: '没有所需的技能' }, { zh: '同一小区' }, { zh: '手上没有在办的' }] })
  })

  test('ranks are 1, 2, 3; scores lie between 0 and 95', () => {
    const ranked = rank([somebody('worst', { near: 1, load: 99, returns: 99 }), somebody('best', { ...skilled(5), near: 5 }), somebody('middle')], sought)
    expect(ranked.map(({ rank, score, candidate }) => [rank, score, candidate.id])).toEqual([[1, 95, 'best'], [2, 33, 'middle'], [3, 0, 'worst']])
    expect(rank([], sought)).toEqual([])
  })
})

describe('the reasons', () => {
  test.each<[string, Candidacy, Sought, string[], string[]]>([
    ['as the design has it', somebody('a', { ...skilled(4), load: 2 }), sought, ['有“水电维修”技能（4级，已核验）', '同一小区', '手上 2 件在办'], ['Has the skill “水电维修” (level 4, verified)', 'In the same compound', 'Has 2 in hand']],
    ['in the very place', somebody('a', { near: 5 }), { skills: [], depth: 5 }, ['就在这个单元', '手上没有在办的'], ['In this very unit', 'Has nothing in hand']],
    ['with returns', somebody('a', { near: 1, returns: 2 }), sought, ['没有所需的技能', '同一街道', '手上没有在办的', '一年内退单 2 次'], ['Has none of the skills wanted', 'In the same street', 'Has nothing in hand', 'Returned 2 within a year']],
    ['two skills in the order they were asked for', somebody('a', { skills: [{ ...electrics, level: 1 }, { ...haircut, level: 2 }] }), { skills: ['haircut', 'electrics'], depth: 5 },
      ['有“理发”技能（2级，已核验）', '有“水电维修”技能（1级，已核验）', '同一小区', '手上没有在办的'], ['Has the skill “理发” (level 2, verified)', 'Has the skill “水电维修” (level 1, verified)', 'In the same compound', 'Has nothing in hand']],
  ])('%s', (_, candidate, wanted, zh, en) => {
    const { because } = rank([candidate], wanted)[0]!
    expect(because.map((words) => words.zh)).toEqual(zh)
    expect(because.map((words) => words.en)).toEqual(en)
  })

  test('in the tenant’s own words for its levels', () => {
    const [first] = rank([somebody('a', { level: { code: 'compound', name: '大院' } })], { skills: [], depth: 5 })
    expect(first!.because[0]).toEqual({ zh: '同一大院', en: 'In the same compound' })
  })
})
