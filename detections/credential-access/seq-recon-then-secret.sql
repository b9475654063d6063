-- /// detection
-- title = "Refused several times, then read secrets"
-- severity = "high"
-- status = "stable"
-- attack = ["T1613", "T1552.007"]
-- section = [6, 4]
-- categories = ["kube-audit"]
-- window = "30m"
-- key = ["cluster", "username"]
-- suppress = "1h"
-- summary = "{username} was refused {refusals} different requests and then read secrets ({secret}) of {cluster}, from {client_ip}"
--
-- description = """
-- Trying doors until one opens: at least three different refused requests, then a get or list of secrets that succeeded,
-- all within half an hour. Repeats of the same refused request count once, so that a workload that retries forever stays
-- silent. No body is needed. The secrets read after the refusals are to be rotated; see whether rights changed in between.
-- """
-- false_positives = [
--   "People finding out what they may do; operators at start-up: add those to lists/secret_readers.csv",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    hit.cluster,
    hit.username,
    count(DISTINCT concat(denied.verb, ' ', denied.resource, '/', denied.subresource, ' ', denied.namespace, '/', denied.name)) AS refusals,
    substr(string_agg(DISTINCT denied.resource, ', ' ORDER BY denied.resource), 1, 500) AS refused_on,
    min(hit.secret) AS secret,
    min(hit.client_ip) AS client_ip,
    min(denied.time) AS first_seen,
    max(hit.time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        max(time) AS time,
        min(concat(namespace, '/', name)) AS secret,
        min(client_ip) AS client_ip
    FROM audit
    WHERE
        stage IN ('ResponseComplete', 'ResponseStarted')
        AND status_code BETWEEN 200 AND 299
        AND resource = 'secrets'
        AND verb IN ('get', 'list', 'watch')
        AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
        AND NOT listed('secret_readers', username)
    GROUP BY cluster, username
) AS hit
JOIN audit AS denied
    ON coalesce(denied.cluster, '') = coalesce(hit.cluster, '')
    AND denied.username = hit.username
    AND denied.time < hit.time
WHERE
    denied.stage = 'ResponseComplete'
    AND denied.status_code = 403
    AND coalesce(denied.principal_class, 'other') NOT IN ('aks', 'system', 'node', 'system-sa')
GROUP BY hit.cluster, hit.username
HAVING count(DISTINCT concat(denied.verb, ' ', denied.resource, '/', denied.subresource, ' ', denied.namespace, '/', denied.name)) >= 3
