import { z } from 'zod'

/**
 * Where something is, in degrees. Kept as WGS84, which GPS and every map outside China speak; Chinese maps speak GCJ-02
 * (国测局坐标: Tencent, AMap, WeChat) or BD-09 (Baidu), some hundred metres off. Neither is published: the formulas are the
 * ones in common use (those of coordtransform and gcoord), and they hold to about a metre.
 */
export interface Point {
  lng: number
  lat: number
}

export const CRS = ['wgs84', 'gcj02', 'bd09'] as const
export type Crs = (typeof CRS)[number]

export const longitude = z.number().min(-180).max(180)
export const latitude = z.number().min(-90).max(90)

/** Krasovsky 1940, as the formulas of GCJ-02 take it: semi-major axis in metres, square of the eccentricity. */
const A = 6_378_245
const EE = 0.006693421622965943
const BAIDU = (Math.PI * 3_000) / 180
/** 1 cm. */
const CLOSE = 1e-7
const DECIMALS = 1e7

/** Rounded to a centimetre: more digits would pretend to know more. */
export function toWgs84(point: Point, crs: Crs): Point {
  const { lng, lat } = crs === 'wgs84' ? point : crs === 'gcj02' ? fromGcj02(point) : fromGcj02(bd09ToGcj02(point))
  return { lng: Math.round(lng * DECIMALS) / DECIMALS, lat: Math.round(lat * DECIMALS) / DECIMALS }
}

/** WGS84 to GCJ-02. Outside China there is no shift. */
export function toGcj02({ lng, lat }: Point): Point {
  if (lng < 72.004 || lng > 137.8347 || lat < 0.8293 || lat > 55.8271) return { lng, lat }
  const [x, y] = [lng - 105, lat - 35]
  const ripple = (20 * Math.sin(6 * x * Math.PI) + 20 * Math.sin(2 * x * Math.PI)) * 2 / 3
  const north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * Math.sqrt(Math.abs(x)) + ripple
    + (20 * Math.sin(y * Math.PI) + 40 * Math.sin((y / 3) * Math.PI)) * 2 / 3 + (160 * Math.sin((y / 12) * Math.PI) + 320 * Math.sin((y * Math.PI) / 30)) * 2 / 3
  const east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * Math.sqrt(Math.abs(x)) + ripple
    + (20 * Math.sin(x * Math.PI) + 40 * Math.sin((x / 3) * Math.PI)) * 2 / 3 + (150 * Math.sin((x / 12) * Math.PI) + 300 * Math.sin((x / 30) * Math.PI)) * 2 / 3
  const radians = (lat / 180) * Math.PI
  const magic = 1 - EE * Math.sin(radians) ** 2
  return {
    lng: lng + (east * 180) / ((A / Math.sqrt(magic)) * Math.cos(radians) * Math.PI),
    lat: lat + (north * 180) / (((A * (1 - EE)) / (magic * Math.sqrt(magic))) * Math.PI),
  }
}

/** The way back has no formula: the shift is taken off until what comes out of it is what was given. */
function fromGcj02(point: Point): Point {
  let found = point
  for (let step = 0; step < 10; step++) {
    const there = toGcj02(found)
    const [dLng, dLat] = [point.lng - there.lng, point.lat - there.lat]
    if (Math.abs(dLng) < CLOSE && Math.abs(dLat) < CLOSE) break
    found = { lng: found.lng + dLng, lat: found.lat + dLat }
  }
  return found
}

export function bd09ToGcj02({ lng, lat }: Point): Point {
  const [x, y] = [lng - 0.0065, lat - 0.006]
  const z = Math.sqrt(x * x + y * y) - 0.00002 * Math.sin(y * BAIDU)
  const theta = Math.atan2(y, x) - 0.000003 * Math.cos(x * BAIDU)
  return { lng: z * Math.cos(theta), lat: z * Math.sin(theta) }
}

/** As it is kept among the words of a request: `118.3456789,35.0512345`. */
export const writtenPoint = ({ lng, lat }: Point): string => `${lng},${lat}`

/** @returns null for what is none any more, such as words that stand where one was erased */
export function readPoint(written: string | null): Point | null {
  const [, lng, lat] = /^(-?\d+(?:\.\d+)?(?:e-\d+)?),(-?\d+(?:\.\d+)?(?:e-\d+)?)$/.exec(written ?? '') ?? []
  return lng === undefined || lat === undefined ? null : { lng: Number(lng), lat: Number(lat) }
}
