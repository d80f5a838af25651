-- Per app: how often it may call, and the origins its pages may call from. Non-breaking: the defaults are those of before.
ALTER TABLE "client"
  ADD COLUMN "ratePerMinute" INTEGER,
  ADD COLUMN "corsOrigins" TEXT[] NOT NULL DEFAULT '{}',
  ADD CONSTRAINT "client_rate_check" CHECK ("ratePerMinute" > 0),
  -- Never `*`: an origin is named, or it is none of this app's.
  ADD CONSTRAINT "client_corsOrigins_check" CHECK (cardinality("corsOrigins") <= 20 AND array_position("corsOrigins", NULL) IS NULL AND NOT '*' = ANY ("corsOrigins"));

-- 被反映人: whoever reads the feed is asked first what there is about him.
CREATE INDEX "request_respondent_idx" ON "request" ("tenantId", "respondentId") WHERE "respondentId" IS NOT NULL;
CREATE INDEX "request_respondent_organisation_idx" ON "request" ("tenantId", "respondentOrganisationId") WHERE "respondentOrganisationId" IS NOT NULL;
