"""Virtual readers and cards, written from the data sheets' facts and from nothing in cardd."""
