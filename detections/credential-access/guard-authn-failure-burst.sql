-- /// detection
-- title = "Many sign-ins to a cluster failed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1110.003"]
-- section = [1]
-- categories = ["guard"]
-- window = "10m"
-- key = ["cluster"]
-- suppress = "1h"
-- summary = "Guard of {cluster} refused {failures} tokens within ten minutes: {example}"
--
-- description = """
-- Guard checks the Entra tokens of everybody who signs in to the cluster. Twenty that are malformed, forged or for
-- somebody else within ten minutes is a client trying tokens, or an application that is badly broken. Tokens that
-- merely expired, and failures to ask Entra for groups, do not count. Guard's lines name neither user nor address: the
-- audit log's 401s of the same minutes have the addresses. Needs the category guard; there is no body to read.
-- """
-- false_positives = [
--   "A pipeline with the wrong audience that retries in a loop",
-- ]
-- follow_up = ["guard-failures", "denied-by-identity"]
-- ///

SELECT
    cluster,
    count(*) AS failures,
    min(message) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM control_plane
WHERE
    category = 'guard'
    AND regexp_like(message, 'failed to verify (token for azure|pop token)|error parsing claims')
    AND message NOT LIKE '%token is expired%'
GROUP BY cluster
HAVING count(*) >= 20
