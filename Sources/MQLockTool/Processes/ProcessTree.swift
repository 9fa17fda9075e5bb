import CMQLockProcess

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The processes below ours, whatever groups and sessions they have created.
///
/// The kernel says whether any are left, without a list: a subreaper inherits every orphan below it, so a subreaper
/// without children has no descendants. The list, from /proc, is only for sending signals.
enum ProcessTree {
    struct Member: Equatable {
        let pid: pid_t
        let group: pid_t
        /// Whether it has ended, and its parent has not collected it yet.
        let isZombie: Bool
    }

    /// From now on orphans below us become our children.
    /// - Returns: whether this is possible; it is on Linux.
    static func adoptOrphans() -> Bool {
        #if os(Linux)
        mqlock_become_subreaper() == 0
        #else
        false
        #endif
    }

    /// Whether this process has no children, not even dead ones. For a process that has adopted orphans this means that
    /// no process is left below.
    static var isEmpty: Bool {
        var info = siginfo_t()
        let result = Platform.retrying { waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) }
        return result == -1 && errno == ECHILD
    }

    /// Collects the children that have ended.
    static func collect() { while Platform.retrying({ waitpid(-1, nil, WNOHANG) }) > 0 {} }

    /// All processes below a process now. Empty where /proc does not show them.
    static func members(below root: pid_t) -> [Member] {
        #if os(Linux)
        // The /proc of another namespace would show other processes under these numbers.
        guard isOwn, let folder = opendir("/proc") else { return [] }
        defer { closedir(folder) }
        var children: [pid_t: [Member]] = [:]
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let pid = pid_t(name), let (parent, member) = entryOf(pid) else { continue }
            children[parent, default: []].append(member)
        }
        var result = children[root] ?? []
        var next = 0
        while next < result.count {
            result += children[result[next].pid] ?? []
            next += 1
        }
        return result
        #else
        return []
        #endif
    }

    #if os(Linux)
    private static var isOwn: Bool {
        var target = [CChar](repeating: 0, count: 16)
        let count = max(0, readlink("/proc/self", &target, target.count))
        return String(decoding: target.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) == String(getpid())
    }

    private static func entryOf(_ pid: pid_t) -> (parent: pid_t, Member)? {
        let descriptor = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = Platform.retrying { read(descriptor, &buffer, buffer.count) }
        // "pid (name) state parent group …", where the name may contain anything.
        guard count > 0, let nameEnd = buffer.prefix(count).lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let words = buffer[(nameEnd + 1)..<count].split(separator: UInt8(ascii: " "), maxSplits: 3)
            .map { String(decoding: $0, as: UTF8.self) }
        guard words.count == 4, let parent = pid_t(words[1]), let group = pid_t(words[2]) else { return nil }
        return (parent, Member(pid: pid, group: group, isZombie: ["Z", "X", "x"].contains(words[0])))
    }
    #endif
}
