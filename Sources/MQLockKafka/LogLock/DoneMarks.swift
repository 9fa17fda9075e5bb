import MQLock

/// A mark as it stands in the log.
///
/// The fold uses the mark's token and bytes, and does not look into its text, which later versions may write
/// differently. So programs of all versions have the same state.
struct DoneText: Hashable, Sendable {
    let token: UInt64
    let bytes: [UInt8]

    // Part of the format, whatever texts later versions write.
    private static let head = Array("mqlock.v1 done ".utf8)
    /// The length of the first line, with the nonce.
    private static let headLength = head.count + 32 + 1
    private static let maximumLength = 8192

    /// - Parameter nonce: the same for all writings of one request.
    init(_ mark: DoneMark, _ nonce: RandomID) {
        (token, bytes) = (mark.fencingToken.rawValue, mark.text(nonce).payload)
    }

    /// Nil if it is not a mark of any version.
    init?(token: UInt64, _ bytes: [UInt8]) {
        guard token <= FencingToken.maximum, bytes.count <= Self.maximumLength, bytes.starts(with: Self.head),
            bytes.count > Self.headLength, bytes[Self.headLength - 1] == UInt8(ascii: "\n"),
            bytes[Self.head.count..<Self.headLength - 1].allSatisfy({ $0.hexadecimalDigit(.lower) != nil })
        else { return nil }
        (self.token, self.bytes) = (token, bytes)
    }

    /// Nil if this version cannot read it.
    var mark: DoneMark? {
        guard let mark = ControlText(payload: bytes).flatMap(DoneMark.init), mark.fencingToken.rawValue == token else {
            return nil
        }
        return mark
    }

    /// Whether both are the same mark, perhaps written twice.
    func isSame(as other: Self) -> Bool {
        token == other.token && bytes.dropFirst(Self.headLength) == other.bytes.dropFirst(Self.headLength)
    }
}

extension DoneText: Comparable {
    static func < (left: Self, right: Self) -> Bool {
        left.token == right.token
            ? left.bytes.lexicographicallyPrecedes(right.bytes) : left.token < right.token
    }
}

/// The marks of all names of a partition, a part of the fold's state: for each name those with the largest tokens.
struct DoneMarks: Hashable, Sendable {
    /// The smallest first. None is empty.
    private(set) var texts: [LockName: [DoneText]] = [:]
    /// The sum of the hashes of all of them.
    private(set) var hash: UInt64 = 0

    // Part of the format: with other numbers a program would have another state.
    static let perName = 8
    static let names = 1000

    /// Ordered by token.
    func marks(of name: LockName) -> [DoneMark] { texts[name]?.compactMap(\.mark) ?? [] }

    /// Keeps a mark, unless it is there already. Drops marks beyond the limits.
    /// - Returns: whether the mark was added.
    @discardableResult
    mutating func keep(_ text: DoneText, of name: LockName) -> Bool {
        var all = texts[name] ?? []
        guard !all.contains(where: { $0.isSame(as: text) }) else { return false }
        all.insert(text, at: all.firstIndex { text < $0 } ?? all.endIndex)
        hash &+= Self.hash(name, text)
        let gone = all.count > Self.perName ? all.removeFirst() : nil
        if let gone { hash &-= Self.hash(name, gone) }
        texts[name] = all
        return !forgetName() && gone == nil
    }

    /// With too many names, drops the one that was used longest ago.
    private mutating func forgetName() -> Bool {
        guard texts.count > Self.names else { return false }
        let oldest = texts.min { left, right in
            let (own, other) = (left.value.last?.token ?? 0, right.value.last?.token ?? 0)
            return own == other ? left.key.utf8.lexicographicallyPrecedes(right.key.utf8) : own < other
        }
        guard let oldest else { return false }
        for text in oldest.value { hash &-= Self.hash(oldest.key, text) }
        texts[oldest.key] = nil
        return true
    }

    private static func hash(_ name: LockName, _ text: DoneText) -> UInt64 {
        var hasher = LogHasher(5)
        hasher.add(name.utf8)
        hasher.add(text.token)
        hasher.add(text.bytes)
        return hasher.value
    }
}
