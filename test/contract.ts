import { afterEach } from 'vitest'
import { BREACHES } from '../src/http/contract.ts'

/**
 * Set up for every test file: an answer that is not in the API's document fails the test that asked for it, whatever the
 * test itself looks at. Apps of this process write down what breaks it (`checkAnswers`), and so does `fetch` of real ones
 * (`held-answers.ts`, which `startProcess` uses).
 */
afterEach(() => {
  const found = BREACHES.splice(0)
  if (found.length > 0) throw new Error(`answers that are not in the document:\n${found.join('\n')}`)
})
