import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bd09ToGcj02, readPoint, toGcj02, toWgs84, writtenPoint, type Point } from '../../src/domain/coordinates.ts'

/** Worked values: README of coordtransform (wandergis/coordtransform) and of gcoord (hujiulong/gcoord). */

const metres = (a: Point, b: Point): number => 111_320 * Math.hypot((a.lng - b.lng) * Math.cos((a.lat * Math.PI) / 180), a.lat - b.lat)
const GIVEN = { lng: 116.404, lat: 39.915 }
const inChina = fc.record({ lng: fc.double({ min: 73.7, max: 135, noNaN: true }), lat: fc.double({ min: 3.9, max: 53.5, noNaN: true }) })

describe('coordinates', () => {
  test('WGS84 to GCJ-02 and BD-09 to GCJ-02 as others compute it', () => {
    expect(metres(toGcj02(GIVEN), { lng: 116.41024449916938, lat: 39.91640428150164 })).toBeLessThan(0.001)
    expect(metres(bd09ToGcj02(GIVEN), { lng: 116.39762729119315, lat: 39.90865673957631 })).toBeLessThan(0.001)
  })

  test('the way back, of the same point, to a metre or two of the one-step formula and exactly of our own', () => {
    expect(metres(toWgs84(GIVEN, 'gcj02'), { lng: 116.39775550083061, lat: 39.91359571849836 })).toBeLessThan(3)
    expect(metres(toWgs84({ lng: 116.41661560068297, lat: 39.92196580126834 }, 'bd09'), { lng: 116.403988, lat: 39.914266 })).toBeLessThan(1)
  })

  test('there and back is where one was, anywhere in China, to 5 cm', () => {
    fc.assert(fc.property(inChina, (point) => metres(toWgs84(toGcj02(point), 'gcj02'), point) < 0.05))
  })

  test('GCJ-02 is some hundred metres off, and nothing outside China', () => {
    expect(metres(toGcj02(GIVEN), GIVEN)).toBeGreaterThan(300)
    expect(toGcj02({ lng: -0.1276, lat: 51.5072 })).toEqual({ lng: -0.1276, lat: 51.5072 })
    expect(toWgs84({ lng: -0.1276, lat: 51.5072 }, 'gcj02')).toEqual({ lng: -0.1276, lat: 51.5072 })
  })

  test('what is kept is read again, and what was erased is nothing', () => {
    fc.assert(fc.property(inChina, (point) => {
      const kept = toWgs84(point, 'wgs84')
      expect(readPoint(writtenPoint(kept))).toEqual(kept)
    }))
    expect(readPoint(writtenPoint({ lng: 1e-7, lat: -1e-7 }))).toEqual({ lng: 1e-7, lat: -1e-7 })
    for (const nothing of [null, '', '〔已删除〕', '1', '1,2,3', 'NaN,NaN']) expect(readPoint(nothing)).toBeNull()
  })
})
