-- /// detection
-- title = "Images could not be pulled again and again"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1525"]
-- section = [3]
-- window = "10m"
-- key = ["cluster", "namespace"]
-- suppress = "6h"
-- summary = "Nodes failed {failures} times within ten minutes to pull images for namespace {namespace} of {cluster}: {example}"
--
-- description = """
-- Ten pulls refused or unknown within ten minutes are an expired credential, a registry the nodes lost their right to
-- (AcrPull), or somebody trying image names. Counts kubelet's events Failed and BackOff with such a text. Whether AKS
-- logs the bodies of events at all depends on its audit policy, which is not confirmed, therefore shadow; without
-- bodies (level Metadata, or cut) the rule stays silent. Look at the image: is it yours, and does it exist?
-- """
-- false_positives = [
--   "An expired registry token; a tag that was deleted",
-- ]
-- follow_up = ["new-images"]
-- ///

SELECT
    cluster,
    namespace,
    count(*) AS failures,
    count(DISTINCT object -> 'involvedObject' ->> 'name') AS pods,
    min(left(object ->> 'message', 300)) AS example,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'patch')
    AND resource = 'events'
    AND principal_class = 'node'
    AND (object ->> 'reason') IN ('Failed', 'BackOff')
    AND regexp_like(
        object ->> 'message',
        'ErrImagePull|ImagePullBackOff|401 Unauthorized|403 Forbidden|manifest unknown|pull access denied'
    )
GROUP BY cluster, namespace
HAVING count(*) >= 10
