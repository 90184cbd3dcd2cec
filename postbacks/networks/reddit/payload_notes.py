"""What the fields of an event sent to Reddit are."""

SECRET = ("Header Authorization", "The conversion access token, never shown")
NOTES = {
    "data.test_id": "Event Testing only, counted nowhere",
    "data.events.event_at": "When it happened, in milliseconds since 1970",
    "data.events.action_source": "Kind of source: WEBSITE for a pixel",
    "data.events.type.tracking_type": "Reddit’s name of the event, CUSTOM for one of your own",
    "data.events.type.custom_event_name": "Name of your own event",
    "data.events.click_id": "Click ID of the ad, as it came",
    "data.events.event_source_url": "Page of the click",
    "data.events.user.email": "SHA-256 of the email, in lower case, without dots and +tags",
    "data.events.user.phone_number": "SHA-256 of the phone number, with its country code",
    "data.events.user.external_id": "SHA-256 of the user ID",
    "data.events.user.ip_address": "IP address at the time of the click",
    "data.events.user.user_agent": "Browser at the time of the click",
    "data.events.user.uuid": "Reddit’s browser cookie, as it came",
    "data.events.metadata.conversion_id": "What Reddit counts once by, the same on every attempt",
    "data.events.metadata.value": "What was paid",
    "data.events.metadata.currency": "In which currency",
    "data.events.metadata.item_count": "How many items",
    "data.events.metadata.products.id": "ID of the item",
    "data.events.metadata.products.name": "Name of the item",
    "data.events.metadata.products.category": "Category of the item",
    "data.events.metadata.products.item_price": "Price of one",
    "data.events.metadata.products.quantity": "How many",
}
