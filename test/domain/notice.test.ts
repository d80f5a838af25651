import { describe, expect, test } from 'vitest'
import { VERB_NAMES, type Step, type VerbName } from '../../src/domain/machine.ts'
import { NOTICE_KINDS, headlineOf, kindOf, rankOf, todoOf, toldOf, type NoticeData } from '../../src/domain/notice.ts'

describe('who is told', () => {
  test.each<[VerbName, NoticeData, string[]]>([
    ['file', {}, ['dispatch']],
    // what the reminder says itself
    ['remind', { step: 'sign', tell: ['assignee', 'dispatch'] }, ['assignee', 'dispatch']],
    ['remind', { step: 'sign', tell: ['supervise'], top: true }, ['supervise']],
    // and where it says nothing: whoever would be late, at the top the supervisor
    ['remind', { step: 'sign' }, ['assignee']],
    ['remind', { step: 'accept' }, ['dispatch']],
    ['remind', { step: 'sign', top: true }, ['supervisor']],
    ['remind', { step: 'close' }, []],
    // the rung, and the party that keeps the work; not those of the place whose rung was passed
    ['escalate', { step: 'sign', rung: 'x' }, ['assignee', 'rung']],
    ['escalate', { step: 'accept', rung: 'x' }, ['assignee', 'rung']],
  ])('of %s %o: %o', (verb, data, expected) => {
    // first contacts are told too, where the machine says so
    expect(toldOf(verb, data).filter((as) => as !== 'first_contact').sort()).toEqual([...expected].sort())
  })

  test('nobody twice', () => {
    expect(toldOf('escalate', { step: 'sign', rung: 'x' }).filter((as) => as === 'assignee')).toHaveLength(1)
    expect(toldOf('remind', { step: 'sign', tell: ['assignee', 'assignee'] }).filter((as) => as === 'assignee')).toHaveLength(1)
  })

  test('as the one who is nearest to the work', () => {
    expect(['filer', 'rung', 'dispatch', 'assignee'].sort((a, b) => rankOf(a) - rankOf(b))).toEqual(['assignee', 'dispatch', 'rung', 'filer'])
  })
})

const late = { dueAt: '2026-11-23T10:00:00.000Z', logicalAt: '2026-11-23T10:00:00.000Z' }
const early = { ...late, logicalAt: '2026-11-23T06:00:00.000Z' }
const sign = { step: 'sign' as Step }

describe('what it is, and what is to be done', () => {
  test.each<[VerbName, string, NoticeData, keyof typeof NOTICE_KINDS, string | null]>([
    ['remind', 'assignee', { ...sign, ...early }, 'reminder', '请尽快签收'],
    ['remind', 'assignee', { ...sign, ...late }, 'reminder', '已逾期，请立即签收'],
    ['remind', 'supervise', { ...sign, ...early }, 'reminder', '时限将至，请督办：签收'],
    ['remind', 'supervisor', { ...sign, ...early, top: true }, 'reminder', '已逾期，请督办：签收'],
    ['remind', 'first_contact', { ...sign, ...early }, 'reminder', '时限将至，请跟进：签收'],
    ['remind', 'filer', { step: 'resubmit', ...early }, 'reminder', '请尽快补正'],
    ['escalate', 'rung', { ...sign, ...early }, 'escalation', '已逾期，请督办：签收'],
    ['escalate', 'assignee', sign, 'escalation', '已逾期，请立即签收'],
    ['file', 'dispatch', {}, 'intake', '请受理'],
    ['dispatch', 'assignee', {}, 'assignment', '请签收'],
    ['dispatch', 'filer', {}, 'progress', null],
    ['redispatch', 'assignee', {}, 'assignment', '请签收'],
    ['complete', 'follow_up', {}, 'progress', '请回访'],
    ['complete', 'filer', {}, 'progress', '请评价'],
    ['sign', 'dispatch', {}, 'progress', null],
    ['accept', 'filer', {}, 'progress', null],
    ['return', 'filer', {}, 'progress', '请补正'],
  ])('%s to %s %o: %s, %s', (verb, as, data, kind, todo) => {
    expect([kindOf(verb, as), todoOf(verb, as, data)]).toEqual([kind, todo])
  })

  test('every verb has a kind for everybody it is told to', () => {
    for (const verb of VERB_NAMES) for (const as of toldOf(verb, {})) expect(Object.keys(NOTICE_KINDS)).toContain(kindOf(verb, as))
  })

  test.each<[VerbName, NoticeData, string]>([
    ['remind', { ...sign, ...early }, '到期提醒：签收'],
    ['remind', { ...sign, ...late }, '逾期提醒：签收'],
    ['remind', early, '到期提醒'],
    ['escalate', { ...sign, ...late }, '逾期升级：签收'],
    ['dispatch', {}, '派单'],
  ])('a group reads of %s %o: %s', (verb, data, headline) => {
    expect(headlineOf(verb, data)).toBe(headline)
  })
})
