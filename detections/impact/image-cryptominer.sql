-- /// detection
-- title = "A workload mines coins"
-- severity = "high"
-- status = "stable"
-- attack = ["T1496", "T1204.003"]
-- section = [3]
-- key = ["cluster", "username", "namespace", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} put a known miner into {resource} {namespace}/{name} of {cluster}: {found} ({images}), from {client_ip}"
--
-- description = """
-- Mining is what most break-ins into clusters are for, and whoever could start this can start worse. Names of miners,
-- pools and their protocol are looked for in images, commands, arguments and environment of the pod. Every workload kind
-- counts, on create, update and patch, with init and ephemeral containers; what the built-in controllers make from it does
-- not, and dry runs do not. No identity is exempt. A renamed image without such arguments is not seen. At level Metadata,
-- or when the body was cut before the containers, nothing is known and the rule stays silent. Delete it, then find out
-- whose credential it was.
-- """
-- false_positives = [
--   "Detection tools that carry such names in their arguments: give them in a config map instead",
-- ]
-- follow_up = ["new-images", "object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    regexp_replace(
        lower(pod_spec(object)),
        '^.*(xmrig|xmr-stak|minerd|cpuminer|monero|kinsing|stratum2?\+[a-z]+|nicehash|nanopool|supportxmr|moneroocean|minexmr|cryptonight|randomx|ethminer|nbminer|lolminer|/t-rex|phoenixminer).*$',
        '\1',
        's'
    ) AS found,
    array_to_string(container_images(object), ', ') AS images,
    pod_service_account(object) AS service_account,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource IN (
        'pods', 'deployments', 'daemonsets', 'statefulsets', 'replicasets',
        'jobs', 'cronjobs', 'replicationcontrollers', 'podtemplates'
    )
    AND coalesce(subresource, 'ephemeralcontainers') = 'ephemeralcontainers'
    AND NOT (resource IN ('pods', 'replicasets', 'jobs') AND listed('workload_controllers', username))
    AND regexp_like(
        lower(pod_spec(object)),
        'xmrig|xmr-stak|minerd|cpuminer|monero|kinsing|stratum2?\+[a-z]+|nicehash|nanopool|supportxmr|moneroocean|minexmr|cryptonight|randomx|ethminer|nbminer|lolminer|/t-rex|phoenixminer'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
