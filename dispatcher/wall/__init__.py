"""The wall: a local double of every provider, with faults on demand and a page that shows what the public would see."""
