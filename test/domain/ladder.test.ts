import { describe, expect, test } from 'vitest'
import { climb } from '../../src/domain/ladder.ts'
import { codesOf, concerned, ladderFrom, waitsFor, whoIsLate, type Post, type Roster } from '../../src/domain/late.ts'
import type { Capability, Step } from '../../src/domain/machine.ts'
import type { AskRow, AssignmentRow, Facts, Rung } from '../../src/domain/request.ts'
import { at, FIRM, member } from './stage.ts'

const rung = (path: string, ...holders: string[]): Rung => ({ nodeId: path, path, level: codesOf(path).at(-1)!.slice(0, 1), holders })

describe('supervision climbs', () => {
  const BUILDING = rung('S/C/P/B/', 'bai'), COMPOUND = rung('S/C/P/', 'pan'), COMMUNITY = rung('S/C/', 'cao'), STREET = rung('S/', 'song')
  const whole = [BUILDING, COMPOUND, COMMUNITY, STREET]

  /** Every rung supervision stands on in turn, with those passed over before it. */
  function route(ladder: Rung[], late: string[] = []): string[] {
    const steps: string[] = []
    for (let reached: string | null = null; ;) {
      const { to, skipped } = climb(ladder, reached, late)
      steps.push(...skipped.map((nodeId) => `(${nodeId})`))
      if (!to) return steps
      steps.push(to.path)
      reached = to.path
    }
  }
  const vacant = ({ path }: Rung) => rung(path)

  test.each<[string, Rung[], string[], string[]]>([
    ['from the late one\'s own node to the root', whole, [], ['S/C/P/B/', 'S/C/P/', 'S/C/', 'S/']],
    ['past a vacancy at the bottom', [vacant(BUILDING), COMPOUND, COMMUNITY, STREET], [], ['(S/C/P/B/)', 'S/C/P/', 'S/C/', 'S/']],
    ['past a vacancy in the middle', [BUILDING, vacant(COMPOUND), COMMUNITY, STREET], [], ['S/C/P/B/', '(S/C/P/)', 'S/C/', 'S/']],
    ['past two vacancies', [BUILDING, vacant(COMPOUND), vacant(COMMUNITY), STREET], [], ['S/C/P/B/', '(S/C/P/)', '(S/C/)', 'S/']],
    ['no further than the last that is held', [BUILDING, COMPOUND, COMMUNITY, vacant(STREET)], [], ['S/C/P/B/', 'S/C/P/', 'S/C/', '(S/)']],
    ['nowhere when nobody holds anything', whole.map(vacant), [], ['(S/C/P/B/)', '(S/C/P/)', '(S/C/)', '(S/)']],
    ['past the late one\'s own rungs', [rung('S/C/P/B/', 'late'), COMPOUND, rung('S/C/', 'late'), STREET], ['late'], ['(S/C/P/B/)', 'S/C/P/', '(S/C/)', 'S/']],
    ['to a rung the late one shares', [rung('S/C/P/B/', 'late', 'bai'), COMPOUND], ['late'], ['S/C/P/B/', 'S/C/P/']],
    ['past all of several that are late', [rung('S/C/P/B/', 'late', 'too'), COMPOUND], ['late', 'too'], ['(S/C/P/B/)', 'S/C/P/']],
    ['past a second rung of the same person', [BUILDING, rung('S/C/P/', 'bai'), COMMUNITY, STREET], [], ['S/C/P/B/', '(S/C/P/)', 'S/C/', 'S/']],
    ['past a higher rung of one who was asked two rungs ago', [BUILDING, COMPOUND, rung('S/C/', 'bai'), STREET], [], ['S/C/P/B/', 'S/C/P/', '(S/C/)', 'S/']],
    ['to a second rung that another holds as well', [BUILDING, rung('S/C/P/', 'bai', 'pan'), COMMUNITY], [], ['S/C/P/B/', 'S/C/P/', 'S/C/']],
    ['nowhere on no ladder', [], [], []],
  ])('%s', (_, ladder, late, expected) => {
    expect(route(ladder, late)).toEqual(expected)
  })

  test('and says which rungs nobody holds', () => {
    expect(climb([vacant(BUILDING), rung('S/C/P/', 'late'), COMMUNITY], null, ['late'])).toEqual({ to: COMMUNITY, skipped: ['S/C/P/B/', 'S/C/P/'], vacant: ['S/C/P/B/'] })
  })

  test('on from a rung that is not on the ladder any more', () => {
    // another party is late now, somewhere else; or the tree has changed
    expect(climb([rung('S/X/Y/', 'yao'), rung('S/X/', 'xie'), STREET], 'S/C/', []).to).toEqual(STREET)
    expect(climb([rung('S/X/Y/', 'yao'), rung('S/X/', 'xie'), STREET], 'S/C/P/', []).to).toEqual(rung('S/X/', 'xie'))
    expect(climb([rung('S/X/', 'xie'), STREET], 'S/', []).to).toBeUndefined()
  })
})

const holds = (id: string, ...capabilities: Capability[]) => ({ id, capabilities })

/** A tree by the paths of its nodes; whoever holds what there. */
function rosterOf(nodes: Record<string, Post['holders']>, organisations: Record<string, string[]> = {}): Roster {
  const posts = new Map(Object.entries(nodes).map(([path, holders]): [string, Post] => [codesOf(path).at(-1)!, { nodeId: path, path, level: `level ${codesOf(path).length}`, holders }]))
  return { post: (code) => posts.get(code), people: (id) => organisations[id] ?? [] }
}

const TOWN = rosterOf({
  'S/': [holds('song', 'supervise')],
  'S/C/': [holds('cao', 'dispatch', 'publish', 'approve'), holds('chen', 'supervise', 'approve')],
  'S/C/P/': [holds('pan', 'dispatch', 'supervise', 'approve')],
  'S/C/P/B/': [holds('bai', 'handle', 'supervise')],
  'S/C/P/B/U1/': [],
  'S/C/X/': [holds('xu', 'supervise')],
}, { [FIRM]: ['fang', 'feng'] })

const party = (differs: Partial<AssignmentRow>): AssignmentRow => ({
  requestId: '', seq: 3, slot: 1, role: 'lead', via: 'dispatch', quantity: 1, personId: null, organisationId: null, memberId: null, path: 'S/C/P/', level: null,
  status: 'active', since: new Date(0), until: null, reportedAt: null, ...differs,
})
const late = (facts: Facts, step: Step, seq = 1, roster = TOWN) => {
  const found = whoIsLate(facts, { step, seq }, roster)
  return [found.late.sort(), found.ladder[0]?.path, found.ladder.length]
}

describe('late is', () => {
  const claimer = member()
  test.each<[string, Facts, Step, [string[], string, number]]>([
    ['of an acceptance the nearest who dispatches', at.filed(), 'accept', [['pan'], 'S/C/P/', 3]],
    ['of a claim the nearest who publishes', at.open(), 'claim', [['cao'], 'S/C/', 2]],
    ['of work nobody has whoever is to place it', at.accepted(), 'complete', [['pan'], 'S/C/P/', 3]],
    ['of work on the wall whoever put it there', at.open(), 'complete', [['cao'], 'S/C/', 2]],
    ['of work that is given the one who has it', { ...at.signed(), assignments: [party({ personId: 'wu', path: 'S/C/P/B/' })] }, 'complete', [['wu'], 'S/C/P/B/', 4]],
    ['of an organisation\'s work its people', { ...at.signed(), assignments: [party({ organisationId: FIRM, path: 'S/C/X/' })] }, 'sign', [['fang', 'feng'], 'S/C/X/', 3]],
    ['and the one it named', { ...at.signed(), assignments: [party({ organisationId: FIRM, memberId: 'gu', path: 'S/C/X/' })] }, 'respond', [['fang', 'feng', 'gu'], 'S/C/X/', 3]],
    ['of several who have it all, from the one furthest down', { ...at.signed(), assignments: [party({ personId: 'wu', path: 'S/' }), party({ personId: 'wei', path: 'S/C/P/B/', slot: 2 })] }, 'complete', [['wei', 'wu'], 'S/C/P/B/', 4]],
    ['of a claim that is not taken up the claimer', at.claimed(claimer), 'lease', [[claimer.id], 'S/C/P/B/U1/', 5]],
    ['of a follow-up nobody where nobody follows up', at.completed(), 'follow_up', [[], 'S/C/P/B/U1/', 5]],
    ['of a resubmission nobody of the staff', at.returned(), 'resubmit', [[], 'S/C/P/B/U1/', 5]],
  ])('%s', (_, facts, step, expected) => {
    const seq = step === 'lease' ? facts.assignments[0]!.seq : 1
    expect(late(facts, step, seq)).toEqual(expected)
  })

  test('of a helper\'s part that helper alone, of a whistle whoever has not reported in', () => {
    const cos = [party({ seq: 5, role: 'co', via: 'co', personId: 'he' }), party({ seq: 6, role: 'co', via: 'whistle', personId: 'hu' }), party({ seq: 6, slot: 2, role: 'co', via: 'whistle', personId: 'hong', reportedAt: new Date(1) })]
    const facts = { ...at.signed(), cos }
    expect(late(facts, 'co', 5)).toEqual([['he'], 'S/C/P/', 3])
    expect(late(facts, 'report_in', 6)).toEqual([['hu'], 'S/C/P/', 3])
  })

  test('of an answer who is above the asker; of a 退单 who dispatches', () => {
    const ask = (kind: AskRow['kind'], path: string): AskRow => ({
      requestId: '', seq: 7, kind, cycle: 1, reason: null, personId: 'wu', organisationId: null, path, until: null, suggestedPersonId: null, suggestedOrganisationId: null,
      status: 'open', askedAt: new Date(0), answeredAt: null, answeredBy: null,
    })
    const asked = (kind: AskRow['kind'], path: string) => ({ ...at.signed(), asks: [ask(kind, path)] })
    expect(late(asked('extension', 'S/C/P/B/'), 'answer', 7)).toEqual([['pan'], 'S/C/P/', 3])
    expect(late(asked('extension', 'S/C/P/'), 'answer', 7)).toEqual([['cao', 'chen'], 'S/C/', 2])
    expect(late(asked('park', 'S/'), 'answer', 7)).toEqual([[], 'S/C/P/B/U1/', 5])
    expect(late(asked('return', 'S/C/P/'), 'answer', 7)).toEqual([['pan'], 'S/C/P/', 3])
    expect(waitsFor(asked('return', 'S/C/P/'), { step: 'answer', seq: 7 })).toBe('dispatch')
    expect(concerned(asked('park', 'S/Q/')).paths).toContain('S/Q/')
  })
})

describe('the ladder', () => {
  const paths = (path: string, roster: Roster) => ladderFrom(path, roster).map((each) => each.path)

  test('leaves out a node that is gone, and starts from the nearest that is there', () => {
    const roster = rosterOf({ 'S/': [], 'S/C/': [], 'S/C/P/B/': [] })
    expect(paths('S/C/P/B/', roster)).toEqual(['S/C/P/B/', 'S/C/', 'S/'])
    expect(paths('S/C/P/B/U1/', roster)).toEqual(['S/C/P/B/', 'S/C/', 'S/'])
    expect(paths('Q/R/', roster)).toEqual([])
  })

  test('follows a node that was moved to where it is now', () => {
    // P was under C when the request was filed
    expect(paths('S/C/P/', rosterOf({ 'S/': [], 'S/C/': [], 'S/D/': [], 'S/D/P/': [] }))).toEqual(['S/D/P/', 'S/D/', 'S/'])
  })

  /** The five sources, each with a tree and duties of its own: levels, depth and who supervises are the tenant's data. */
  test.each<[string, Record<string, string[]>, string, string[], string[]]>([
    ['S0 单元长 → 楼长 → 支部 → 村 → 街道', { '银雀山/': ['街道'], '银雀山/梨杭/': ['村总支'], '银雀山/梨杭/华府/': ['支书'], '银雀山/梨杭/华府/3/': ['楼长'], '银雀山/梨杭/华府/3/1/': ['单元长'] },
      '银雀山/梨杭/华府/3/1/', ['单元长'], ['楼长', '支书', '村总支', '街道']],
    ['S1 邻长 → 组长 → 片长 → 社区 (三长)', { '书院路/': [], '书院路/新塘/': ['社区'], '书院路/新塘/东片/': ['片长'], '书院路/新塘/东片/二组/': ['组长'], '书院路/新塘/东片/二组/甲/': ['邻长'] },
      '书院路/新塘/东片/二组/甲/', [], ['邻长', '组长', '片长', '社区']],
    ['S2 楼栋即网格: one step to the community', { '石竹/': ['街道'], '石竹/名辉/': ['社区'], '石竹/名辉/9栋/': ['楼栋长'] }, '石竹/名辉/9栋/', ['楼栋长'], ['社区', '街道']],
    ['S3 四级架构, one person as 楼栋长 and 业委会主任', { '运河/': ['街道'], '运河/华阳/': ['社区'], '运河/华阳/小区/': ['同一人'], '运河/华阳/小区/7/': ['同一人'] },
      '运河/华阳/小区/7/', [], ['同一人', '社区', '街道']],
    ['S4 大院 without buildings', { '东城/': ['街道'], '东城/上坝路/': [], '东城/上坝路/大院/': ['自管委'] }, '东城/上坝路/大院/', ['自管委'], ['街道']],
  ])('is the tenant\'s own: %s', (_, tree, from, lateOnes, expected) => {
    const roster = rosterOf(Object.fromEntries(Object.entries(tree).map(([path, ids]) => [path, ids.map((id) => holds(id, 'supervise'))])))
    const asked: string[] = []
    for (let reached: string | null = null; ;) {
      const { to } = climb(ladderFrom(from, roster), reached, lateOnes)
      if (!to) break
      asked.push(...to.holders)
      reached = to.path
    }
    expect(asked).toEqual(expected)
  })
})
