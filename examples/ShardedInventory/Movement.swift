/// A change of an article's stock, as a record of the topic. The article is the key, so all movements of an article are
/// in one partition, in order. The change is the value, in decimal.
struct Movement: Equatable, Sendable {
    var article: String
    var delta: Int

    init(article: String, delta: Int) { (self.article, self.delta) = (article, delta) }

    /// Reads a record; nil if it is not a movement.
    init?(key: [UInt8], value: [UInt8]) {
        guard let article = String(validating: key, as: UTF8.self), !article.isEmpty,
            // It becomes a word of a line.
            article.allSatisfy({ !$0.isWhitespace }),
            let text = String(validating: value, as: UTF8.self), let delta = Int(text)
        else { return nil }
        self.init(article: article, delta: delta)
    }
}

/// A movement and its offset in the partition.
struct Entry: Equatable, Sendable {
    var offset: Int64
    var movement: Movement
}
