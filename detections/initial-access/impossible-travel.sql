-- /// detection
-- title = "One person at two places too far apart"
-- severity = "medium"
-- status = "shadow"
-- attack = ["T1078.004"]
-- section = [1]
-- categories = ["kube-audit"]
-- window = "6h"
-- thin = "1m"
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} used {cluster} from places {km} km apart, faster than anybody travels: {journeys}"
--
-- description = """
-- Somebody whose requests come from one country, and minutes later from another far away, either shares the account or has lost
-- the token. Two requests in a row count when their addresses are in different countries, at least 500 km apart, and would have
-- needed more than 900 km/h; what the database says it may be wrong about an address is taken off the distance. Refused requests
-- count too. No body is needed. Silent without a City database ([enrich] geoip, or --geoip), and about addresses it does not
-- know. Where only kube-audit-admin is sent, just the writes of people are seen. It is shadow until it has been watched on logs
-- of your own: databases err most where it matters, on VPNs, mobile networks and cloud egress. Ask the person; if it was not
-- they, revoke the sessions in Entra ID and look at what was done from the second place.
-- """
-- false_positives = [
--   "VPN and proxy egress far from its users: add its networks, or AS and its number, to lists/shared_egress.csv",
--   "The Azure portal and Cloud Shell, which call from Microsoft's network (AS8075, on that list; needs an ASN database)",
-- ]
-- follow_up = ["identity-timeline", "address-timeline"]
-- ///

SELECT
    cluster,
    username,
    count(*) AS jumps,
    max(km) AS km,
    substr(string_agg(DISTINCT journey, '; ' ORDER BY journey), 1, 500) AS journeys,
    min(earlier) AS first_seen,
    max(time) AS last_seen
FROM (
    SELECT
        cluster,
        username,
        earlier,
        time,
        distance_km(origin, client_ip) AS km,
        concat(
            country(origin), ' ', origin, ' to ', country(client_ip), ' ', client_ip,
            ' in ', CAST(date_part('epoch', time - earlier) / 60 AS BIGINT), ' min'
        ) AS journey
    FROM (
        SELECT
            cluster,
            username,
            time,
            client_ip,
            lag(client_ip) OVER (PARTITION BY cluster, username ORDER BY time, client_ip) AS origin,
            lag(time) OVER (PARTITION BY cluster, username ORDER BY time, client_ip) AS earlier
        FROM audit
        WHERE
            stage IN ('ResponseComplete', 'ResponseStarted')
            AND principal_class = 'entra-user'
            AND country(client_ip) IS NOT NULL
            AND NOT listed('shared_egress', client_ip)
            AND NOT listed('shared_egress', concat('AS', asn(client_ip)))
    ) AS request
    WHERE
        country(origin) <> country(client_ip)
        AND distance_km(origin, client_ip) > 500
        AND distance_km(origin, client_ip) > 900 * date_part('epoch', time - earlier) / 3600
) AS jump
GROUP BY cluster, username
