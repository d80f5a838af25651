import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { addWorkingMinutes, buildCalendar, DEFAULT_WEEK, due, workingMinutesBetween } from '../../src/domain/calendar.ts'
import { openZone } from '../../src/domain/calendar-zone.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
beforeAll(() => console.info(`calendar-zone: fast-check seed ${seed} (SEED=${seed} repeats it)`))

const utc = (text: string) => Date.parse(`${text.replace(' ', 'T')}Z`)

describe('America/New_York', () => {
  const zone = openZone('America/New_York')
  const iso = (local: string) => new Date(zone.instantOf(utc(local))).toISOString()

  it('takes the moment of the change for a time that is skipped, the earlier one for a time shown twice', () => {
    expect(iso('2026-03-08 01:59')).toBe('2026-03-08T06:59:00.000Z')
    expect(iso('2026-03-08 02:30')).toBe('2026-03-08T07:00:00.000Z')
    expect(iso('2026-03-08 03:00')).toBe('2026-03-08T07:00:00.000Z')
    expect(iso('2026-11-01 00:59')).toBe('2026-11-01T04:59:00.000Z')
    expect(iso('2026-11-01 01:30')).toBe('2026-11-01T05:30:00.000Z')
    expect(iso('2026-11-01 02:00')).toBe('2026-11-01T07:00:00.000Z')
  })

  it('changes at the very ms', () => {
    const turn = utc('2026-03-08 07:00')
    expect([zone.offsetAt(turn - 1), zone.offsetAt(turn)]).toEqual([-5 * 3_600_000, -4 * 3_600_000])
  })

  const office = buildCalendar({ zone: 'America/New_York', week: DEFAULT_WEEK })
  it('keeps local times over the change', () => {
    expect(due(office, new Date('2026-03-03T15:00Z'), '7d').dueAt.toISOString()).toBe('2026-03-10T14:00:00.000Z')
    expect(due(office, new Date('2026-03-06T15:00Z'), '1wd').dueAt.toISOString()).toBe('2026-03-09T22:00:00.000Z')
    expect(due(office, new Date('2026-10-30T15:00Z'), '1wd').dueAt.toISOString()).toBe('2026-11-02T23:00:00.000Z')
    expect(due(office, new Date('2026-03-07T17:00Z'), '24h').dueAt.toISOString()).toBe('2026-03-08T17:00:00.000Z')
  })

  it('counts the hours that pass, not those the clock shows', () => {
    const night = buildCalendar({ zone: 'America/New_York', week: { 7: [['00:00', '02:30'], ['02:30', '04:00']] } })
    const sunday = (day: string) => workingMinutesBetween(night, new Date(`${day}T00:00Z`), new Date(utc(`${day} 00:00`) + 86_400_000))
    expect([sunday('2026-03-01'), sunday('2026-03-08'), sunday('2026-11-01')]).toEqual([240, 180, 300])
    const opening = new Date('2026-03-08T05:00Z')
    expect(addWorkingMinutes(night, opening, 180).toISOString()).toBe('2026-03-08T08:00:00.000Z')
  })

  it('has no working time in hours that are skipped whole', () => {
    const brief = buildCalendar({ zone: 'America/New_York', week: { 7: [['02:15', '02:45']] } })
    expect(due(brief, new Date('2026-03-05T12:00Z'), '1wd').dueAt.toISOString()).toBe('2026-03-15T06:45:00.000Z')
  })
})

describe('any zone', () => {
  const names = ['Asia/Shanghai', 'America/New_York', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Pacific/Apia', 'Asia/Kathmandu', 'UTC', 'Europe/London', 'America/Sao_Paulo', 'Asia/Urumqi']
  const zones = fc.constantFrom(...names)
  const instants = fc.integer({ min: utc('1971-01-01 00:00'), max: utc('2060-01-01 00:00') })
  /** Within a day and a half of one of its changes of the clocks, where mistakes live. */
  const changes = fc.constantFrom(utc('2026-03-08 07:00'), utc('2026-11-01 06:00'), utc('2011-12-30 10:00'), utc('2026-04-04 15:00'), utc('1986-05-03 18:00'), utc('2026-02-15 02:00'))
  const near = fc.tuple(changes, fc.integer({ min: -130_000_000, max: 130_000_000 })).map(([change, step]) => change + step)
  const moments = fc.oneof(instants, near)

  it('has the offset Intl shows', () => {
    fc.assert(fc.property(zones, moments, (name, instant) => {
      const parts = new Intl.DateTimeFormat('en-US', { timeZone: name, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' }).formatToParts(instant)
      const part = (type: string) => Number(parts.find((each) => each.type === type)?.value)
      const local = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
      expect(openZone(name).offsetAt(instant)).toBe(local - Math.floor(instant / 1000) * 1000)
    }), { seed, numRuns: 1000 })
  })

  it('finds its way back from what the clocks show', () => {
    fc.assert(fc.property(zones, moments, (name, instant) => {
      const zone = openZone(name)
      const local = instant + zone.offsetAt(instant)
      const found = zone.instantOf(local)
      expect(found).toBeLessThanOrEqual(instant)
      expect(found + zone.offsetAt(found)).toBe(local)
    }), { seed, numRuns: 2000 })
  })

  it('never goes back while the clocks go on', () => {
    fc.assert(fc.property(zones, moments, fc.nat(20_000_000), (name, local, step) => {
      const zone = openZone(name)
      expect(zone.instantOf(local + step)).toBeGreaterThanOrEqual(zone.instantOf(local))
    }), { seed, numRuns: 2000 })
  })

  it('is refused when unknown, and outside 1970 to 2199', () => {
    expect(() => openZone('Mars/Olympus')).toThrow(RangeError)
    expect(() => openZone('UTC').offsetAt(Number.NaN)).toThrow(RangeError)
    expect(() => openZone('UTC').offsetAt(-1)).toThrow(/1970 to 2199/)
  })
})
