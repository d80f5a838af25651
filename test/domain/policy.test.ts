import { describe, expect, test } from 'vitest'
import { buildCalendar, DEFAULT_WEEK } from '../../src/domain/calendar.ts'
import { DEFAULT_POLICY, policySchema, readPolicy, unsayable } from '../../src/domain/policy.ts'
import { neverAfterOpening } from '../../src/domain/preview.ts'
import { InputRefused } from '../../src/http/validation.ts'
import { SHIPPED_POLICIES } from '../../src/domain/shipped.ts'
import { CALENDAR, MONDAY } from './stage.ts'

/** As the door says them. */
const pointers = (body: unknown): string[] => (policySchema.safeParse(body).success ? [] : new InputRefused(policySchema, body, 'body').findings('zh').map(({ pointer }) => pointer))

describe('a policy', () => {
  test('has the shipped value for whatever it does not say', () => {
    expect(policySchema.parse({})).toEqual(DEFAULT_POLICY)
    expect(policySchema.parse({ limits: { accept: '2h' } })).toEqual({ ...DEFAULT_POLICY, limits: { ...DEFAULT_POLICY.limits, accept: '2h' } })
    for (const body of Object.values(SHIPPED_POLICIES)) expect(policySchema.parse(body)).toEqual(body)
  })

  test.each<[string, object, string[]]>([
    ['a negative limit', { limits: { accept: '-1h' } }, ['/limits/accept']],
    ['a limit of nothing', { limits: { sign: '0wd' } }, ['/limits/sign']],
    ['a limit in weeks', { limits: { sign: '1w' } }, ['/limits/sign']],
    ['a limit of a step there is none of', { limits: { ponder: '1h' } }, ['/limits/ponder']],
    ['a rung of nothing', { rungEvery: '0h' }, ['/rungEvery']],
    ['a negative rung of a level', { rungEveryAt: { building: '-4wh' } }, ['/rungEveryAt/building']],
    ['a level that is no code', { rungEveryAt: { '楼栋': '4wh' } }, ['/rungEveryAt/楼栋']],
    ['a reminder before the opening', { limits: { accept: '2h' }, reminders: [{ before: '3h' }] }, ['/reminders/0/before']],
    ['a reminder at the opening', { limits: { accept: '2h' }, reminders: [{ before: '120m' }] }, ['/reminders/0/before']],
    ['a workday before what is due in hours', { limits: { accept: '24h' }, reminders: [{ before: '1wd' }] }, ['/reminders/0/before']],
    ['working minutes before what is due in fewer minutes', { limits: { accept: '30m' }, reminders: [{ before: '30wm' }] }, ['/reminders/0/before']],
    ['a reminder of one step before it opens', { stepReminders: { sign: [{ share: 0.1 }, { before: '481wm' }] } }, ['/stepReminders/sign/1/before']],
    ['more workdays before than there are', { stepReminders: { complete: [{ before: '11wd' }] } }, ['/stepReminders/complete/0/before']],
    ['a negative reminder', { reminders: [{ before: '-1h' }] }, ['/reminders/0/before']],
    ['a share of all', { reminders: [{ share: 1 }] }, ['/reminders/0/share']],
    ['a reminder after what ends at its due time', { stepReminders: { claim: [{ after: '1h' }] } }, ['/stepReminders/claim/0']],
    ['a reminder of what nobody is waited for in', { stepReminders: { close: [{ share: 0.5 }] } }, ['/stepReminders/close/0']],
    ['a reminder of a step there is none of', { stepReminders: { ponder: [] } }, ['/stepReminders/ponder']],
    ['a relation there is none of', { reminders: [{ at: true, tell: ['assignee', 'mayor'] }] }, ['/reminders/0/tell/1']],
    ['nobody to tell', { reminders: [{ at: true, tell: [] }] }, ['/reminders/0/tell']],
    ['the same twice to tell', { reminders: [{ at: true, tell: ['filer', 'filer'] }] }, ['/reminders/0/tell']],
    ['the same reminder twice', { reminders: [{ before: '1h' }, { before: '60m' }] }, ['/reminders/1']],
    ['reminders out of order', { reminders: [{ before: '1wh' }, { before: '90wm' }, { after: '2d' }, { after: '1d' }] }, ['/reminders/1', '/reminders/3']],
    ['at due before the share', { reminders: [{ at: true }, { share: 0.5 }] }, ['/reminders/1']],
    ['a reminder of two sorts', { reminders: [{ before: '1h', after: '1h' }] }, ['/reminders/0/after']],
    ['a wave of those who may not claim', { claims: { kinds: ['volunteer'], waves: [['party_member']] } }, ['/claims/waves/0/0']],
    ['a kind in two waves', { claims: { waves: [['party_member'], ['volunteer', 'party_member']] } }, ['/claims/waves/1/1']],
    ['a field there is none of', { remindAt: [0.5] }, ['/remindAt']],
  ])('with %s is refused where it is', (_, body, expected) => {
    expect(new Set(pointers(body))).toEqual(new Set(expected))
  })

  test('may say for all steps what some shipped limit is too short for', () => {
    // 1wd to respond; two workdays before is said of the others
    expect(pointers({ reminders: [{ before: '2wd' }] })).toEqual([])
    expect(pointers({ reminders: [{ before: '2wd' }], limits: { respond: '1wd', answer: '1wd' } })).toEqual([])
    expect(pointers({ reminders: [{ before: '2wd' }], limits: { place: '1wd' } })).toEqual(['/reminders/0/before'])
  })

  test('cannot have a reminder that a calendar leaves no room for', () => {
    const lazy = buildCalendar({ zone: 'Asia/Shanghai', week: { ...DEFAULT_WEEK, 2: [], 3: [], 4: [], 5: [] } })
    const policy = policySchema.parse({ limits: { accept: '3d' }, stepReminders: { accept: [{ before: '6wh' }] } })
    expect(unsayable(policy, neverAfterOpening(policy, CALENDAR, MONDAY))).toEqual([])
    const odd = policySchema.parse({ limits: { accept: '420wm' }, stepReminders: { accept: [{ before: '3wd' }] } })
    // a day's work is due the day after at the latest
    expect(unsayable(odd, neverAfterOpening(odd, CALENDAR, MONDAY))).toMatchObject([{ path: ['stepReminders', 'accept', 0, 'before'], step: 'accept' }])
    const weekly = policySchema.parse({ limits: { accept: '10wh' }, stepReminders: { accept: [{ before: '6d' }] } })
    expect(unsayable(weekly, neverAfterOpening(weekly, lazy, MONDAY))).toEqual([])
    expect(unsayable(weekly, neverAfterOpening(weekly, CALENDAR, MONDAY))).toHaveLength(1)
    // said for all: nowhere is there room for a hundred days
    const vast = policySchema.parse({ reminders: [{ before: '100d' }] })
    expect(unsayable(vast, neverAfterOpening(vast, CALENDAR, MONDAY))).toMatchObject([{ path: ['reminders', 0, 'before'] }])
  })
})

test('a body stored before 2026-11-22 is read, and one that has become impossible since too', () => {
  const old = {
    limits: { accept: '480wm', resubmit: '15d', place: '2wd', claim: '7d', sign: '480wm', respond: '1wd', complete: '10wd', follow_up: '3wd', close: '7d' },
    remindAt: [0.5, 0.75], rungEvery: '2h', autoAccept: true, claims: { kinds: ['volunteer'], perClaimer: 2 }, unreachedMax: 3, redoMax: 1,
  }
  expect(readPolicy(old)).toEqual({
    ...DEFAULT_POLICY, rungEvery: '2h', autoAccept: true, claims: { ...DEFAULT_POLICY.claims, kinds: ['volunteer'], perClaimer: 2 },
    reminders: [{ share: 0.5 }, { share: 0.75 }],
  })
  expect(readPolicy({ limits: { accept: '2h' }, reminders: [{ before: '3h' }] }).reminders).toEqual([{ before: '3h' }])
  expect(readPolicy({})).toEqual(DEFAULT_POLICY)
})
