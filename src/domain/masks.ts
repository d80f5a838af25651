/** What is left of personal data for eyes that need not know. Lengths are hidden too, where they would tell. */

/** 王小明 → 王**. One character of a compound surname is enough. */
export const maskName = (name: string): string => `${[...name.trim()][0] ?? ''}**`

/** 13800138000 → 138****8000. What is too short to be a number leaves nothing. */
export const maskPhone = (phone: string): string => (phone.length >= 10 ? `${phone.slice(0, 3)}****${phone.slice(-4)}` : '****')

/** A door says nearly as much as a name. */
export const maskDoor = (_door: string): string => '***'
