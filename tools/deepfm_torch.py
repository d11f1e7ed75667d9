"""The network of deepfm_train in PyTorch, for comparisons only: the same parts, start and rows.

Reads the row files that `deepfm_train fit --keep-rows` leaves. Needs Debian's python3-torch, which users of
the project do not need. One column for each category; multi-valued ones are not known here.
"""
import time

import numpy as np
import torch


def read_rows(path):
    """(columns [n, c], label [n], weight [n]) of a file of encoded rows."""
    head = np.fromfile(path, dtype=np.uint8, count=64)
    assert head[:8].tobytes() == b"ONNXDROW", path
    n_columns = int(head[12:16].view(np.uint32)[0])
    rows = np.memmap(path, dtype=np.float32, mode="r", offset=64).reshape(-1, n_columns + 2)
    return rows[:, :n_columns], rows[:, n_columns], rows[:, n_columns + 1]


class DeepFM(torch.nn.Module):
    def __init__(self, sizes, n_dense, embedding, hidden, rate, dropout=0.0):
        super().__init__()
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.register_buffer("starts", torch.from_numpy(starts))
        self.embedding = torch.nn.Embedding(int(sum(sizes)), embedding)
        self.linear = torch.nn.Embedding(int(sum(sizes)), 1)
        torch.nn.init.normal_(self.embedding.weight, 0, 0.01)
        torch.nn.init.zeros_(self.linear.weight)
        self.numbers = torch.nn.Parameter(torch.zeros(n_dense))
        self.bias = torch.nn.Parameter(torch.full((1,), float(np.log(rate / (1 - rate)))))
        layers, k = [], len(sizes) * embedding + n_dense
        for n in hidden:
            layer = torch.nn.Linear(k, n)
            torch.nn.init.normal_(layer.weight, 0, (2 / k) ** 0.5)
            torch.nn.init.zeros_(layer.bias)
            layers += [layer, torch.nn.ReLU()] + ([torch.nn.Dropout(dropout)] if dropout > 0 else [])
            k = n
        last = torch.nn.Linear(k, 1, bias=False)
        torch.nn.init.normal_(last.weight, 0, (1 / k) ** 0.5)
        self.deep = torch.nn.Sequential(*layers, last)

    def forward(self, ids, numbers):
        ids = ids + self.starts
        e = self.embedding(ids)
        total = e.sum(1)
        fm = 0.5 * (total * total - (e * e).sum(1)).sum(1)
        deep = self.deep(torch.cat([e.flatten(1), numbers], 1))[:, 0]
        return self.bias + self.linear(ids).sum((1, 2)) + numbers @ self.numbers + fm + deep


class Data:
    def __init__(self, path, n_ids):
        columns, label, weight = read_rows(path)
        self.ids = torch.from_numpy(columns[:, :n_ids].astype(np.int64))
        self.numbers = torch.from_numpy(np.ascontiguousarray(columns[:, n_ids:]))
        self.label = torch.from_numpy(np.array(label))
        self.weight = torch.from_numpy(np.array(weight))
        self.n = len(label)


def train_steps(net, optimiser, data, order, batch, stop=None, on_step=None):
    """One pass over `order`; returns rows done. `stop`: seconds after which it ends early."""
    net.train()
    begun, done = time.perf_counter(), 0
    for at in range(0, len(order), batch):
        index = order[at:at + batch]
        z = net(data.ids[index], data.numbers[index])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, data.label[index],
                                                                    weight=data.weight[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        done += len(index)
        if on_step is not None:
            on_step(len(index), float(loss))
        if stop is not None and time.perf_counter() - begun > stop:
            break
    return done


def logits(net, data, batch=8192):
    net.eval()
    with torch.no_grad():
        return torch.cat([net(data.ids[i:i + batch], data.numbers[i:i + batch])
                          for i in range(0, data.n, batch)])


def log_loss(z, label):
    return float(torch.nn.functional.binary_cross_entropy_with_logits(z, label))


def auc(scores, label):
    """Ties count half."""
    scores, label = np.asarray(scores), np.asarray(label)
    values, at = np.unique(scores, return_inverse=True)
    positive = np.bincount(at, weights=label, minlength=len(values))
    negative = np.bincount(at, weights=1 - label, minlength=len(values))
    below = np.cumsum(negative) - negative
    return float(((below + negative / 2) * positive).sum() / (positive.sum() * negative.sum()))
