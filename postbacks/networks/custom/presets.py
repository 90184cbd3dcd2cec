"""Ready-made requests for servers that many studios use. Sources are in docs/networks/custom.md."""

from postbacks.networks.interface.entered_requests import Preset

PRESETS = (
    Preset(
        name="taboola",
        label="Taboola",
        help="Enter the Event Name of the conversion in Realize as the custom name of a goal. The ad link "
        "contains the click ID as tblci={click_id}, where {click_id} is Taboola's own macro.",
        parts={
            "method": "GET",
            "url": "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id={click_id}&name={event}"
            "&revenue={value}&currency={currency}&orderid={order_id}",
            "click_parameters": "tblci",
            "success_statuses": "2xx",
        },
    ),
    Preset(
        name="outbrain",
        label="Outbrain",
        help="Enter the name of the conversion at Outbrain as the custom name of a goal. The ad link contains the "
        "click ID as dicbo={{ob_click_id}}, Outbrain's own macro.",
        parts={
            "method": "GET",
            "url": "https://tr.outbrain.com/unifiedPixel?ob_click_id={click_id}&name={event}&orderValue={value}"
            "&currency={currency}&orderId={order_id}",
            "click_parameters": "dicbo, ob_click_id",
            "success_statuses": "2xx",
        },
    ),
    Preset(
        name="impact",
        label="impact.com",
        help="Replace ACCOUNT_SID and CAMPAIGN_ID. The secret is your account SID and auth token with a colon between "
        "them. Enter the ID of the event type as the custom name of a goal.",
        parts={
            "method": "POST",
            "url": "https://api.impact.com/Advertisers/ACCOUNT_SID/Conversions",
            "body_format": "form",
            "body": "CampaignId=CAMPAIGN_ID&ActionTrackerId={event}&ClickId={click_id}&EventDate={time}"
            "&OrderId={event_id}&CustomerId={user_id_sha256}&CurrencyCode={currency}&Amount={value}",
            "headers": "Authorization: Basic {secret_base64}\nAccept: application/json",
            "click_parameters": "irclickid, im_ref",
            "success_statuses": "2xx",
        },
    ),
    Preset(
        name="everflow",
        label="Everflow",
        help="Replace the host with your tracking domain and NETWORK_ID with your nid. The secret is the verification "
        "token. If you do not have one, remove it from the URL. This reports the base conversion. For "
        "another event, add &event_id={event} and enter its ID as the custom name of a goal. Everflow reads the "
        "amount in the currency of the offer.",
        parts={
            "method": "GET",
            "url": "https://www.your-tracking-domain.example/?nid=NETWORK_ID&transaction_id={click_id}&amount={value}"
            "&order_id={order_id}&verification_token={secret}",
            "click_parameters": "ef_transaction_id, _ef_transaction_id",
            "success_statuses": "2xx",
        },
    ),
)
