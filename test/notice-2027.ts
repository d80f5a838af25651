import type { Notice } from '../src/domain/calendar-notice.ts'

/** Made up, for no notice for 2027 is out: what the State Council might arrange, in the form it always has. */

const days = (name: string, isOffDay: boolean, ...dates: string[]) => dates.map((date) => ({ name, date: `2027-${date}`, isOffDay }))

export const NOTICE_2027: Notice = {
  year: 2027,
  days: [
    ...days('元旦', true, '01-01', '01-02', '01-03'),
    ...days('春节', true, '02-05', '02-06', '02-07', '02-08', '02-09', '02-10', '02-11'),
    ...days('春节', false, '01-30', '02-20'),
    ...days('清明节', true, '04-03', '04-04', '04-05'),
    ...days('劳动节', true, '05-01', '05-02', '05-03', '05-04', '05-05'),
    ...days('劳动节', false, '04-25', '05-08'),
    ...days('端午节', true, '06-09'),
    ...days('中秋节', true, '09-15'),
    ...days('国庆节', true, '10-01', '10-02', '10-03', '10-04', '10-05', '10-06', '10-07'),
    ...days('国庆节', false, '09-26', '10-09'),
  ],
}
