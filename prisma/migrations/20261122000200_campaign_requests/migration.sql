-- Requests of a campaign, newest first (GET /v1/requests?campaign=). Non-breaking: the index it replaces served the same look-ups.
CREATE INDEX "request_campaign_id_idx" ON "request" ("tenantId", "campaignId", "id") WHERE "campaignId" IS NOT NULL;
DROP INDEX "request_campaign_idx";
