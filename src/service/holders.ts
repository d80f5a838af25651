/** A duty `d` that is held now. */
export const HELD = `d."from" <= wishwall_now() AND (d."to" IS NULL OR d."to" > wishwall_now())`

/** The stand-in of `d` is on: during the leave, or while the duty lasts when no term was given. */
export const STANDS_IN = `d."standInId" IS NOT NULL
  AND (d."standInFrom" IS NULL OR d."standInFrom" <= wishwall_now()) AND (d."standInTo" IS NULL OR d."standInTo" > wishwall_now())`

/** Who is asked, reminded and late for `d`: while a stand-in is on, he takes the place of whom he stands in for. */
export const HOLDER = `CASE WHEN ${STANDS_IN} THEN d."standInId" ELSE d."personId" END`
