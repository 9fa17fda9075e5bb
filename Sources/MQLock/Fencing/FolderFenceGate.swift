/// A fence gate for very many names that many processes of one machine share, and that remembers across crashes.
///
/// One ``FileFenceGate`` per 256th of all names: writes under names of different files run side by side, and a new
/// token rewrites only its own file. The file of a name is `<hex>.fence`, its two digits being the exclusive or of the
/// eight bytes of the name's 64-bit FNV-1a. Names that share a file are kept apart in it. About 200,000 names fit.
///
/// What ``FileFenceGate`` says about crashes, damage and blocking holds for each of the files.
public struct FolderFenceGate: FenceGate {
    private let gates: [FileFenceGate]

    /// Names a gate; no I/O happens before the first use.
    /// - Parameter path: a folder that exists and holds nothing else, on a local file system. It is never created: a
    ///   store that is not there, say because its disk is not mounted, is not an empty one.
    public init(path: String) {
        self.init(path: path, before: { (_) throws(LockError) in })
    }

    /// - Parameter before: called before each step on the file system; throws in its place.
    package init(path: String, before: @escaping @Sendable (FenceFileStep) throws(LockError) -> Void) {
        gates = (0..<256).map { number in
            FileFenceGate(path: "\(path)/\(UInt(number).hexadecimal(2)).fence", before: before)
        }
    }

    /// See ``FenceGate/withAdmission(_:for:_:)`` and ``FileFenceGate``.
    public func withAdmission<Result>(
        _ token: FencingToken, for name: LockName, _ write: () throws -> Result
    ) throws -> Result {
        try gate(of: name).withAdmission(token, for: name, write)
    }

    /// See ``FenceGate/highest(for:)``.
    public func highest(for name: LockName) throws(LockError) -> FencingToken? {
        try gate(of: name).highest(for: name)
    }

    private func gate(of name: LockName) -> FileFenceGate {
        var hash = fnv1a(name.utf8)
        for width: UInt64 in [32, 16, 8] { hash ^= hash >> width }
        return gates[Int(hash & 255)]
    }
}
