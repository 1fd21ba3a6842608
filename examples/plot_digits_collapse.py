"""
Training until the features have collapsed
==========================================

Training usually stops when the errors are few. Neural collapse is what happens when it
goes on: long after the last training error, the features of a class keep closing in on
their mean, the means spread out to a simplex, and the last layer turns onto them. Here
a small network is trained on handwritten digits for that long, and a tracker watches
two of its layers.
"""

# %%
# A network and its data
# ----------------------
# 1300 digits of 8 x 8 pixels to train on, 497 to test, and two hidden layers.
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

images, labels = load_digits(return_X_y=True)
X, y = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
X_train, y_train, X_test, y_test = X[:1300], y[:1300], X[1300:], y[1300:]

torch.manual_seed(0)
torch.set_num_threads(1)  # batches this small gain nothing from more


def hidden_layer(n_inputs, n_outputs):
    return nn.Sequential(
        nn.Linear(n_inputs, n_outputs), nn.BatchNorm1d(n_outputs), nn.ReLU()
    )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = hidden_layer(64, 128)
        self.second = hidden_layer(128, 64)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.second(self.first(x)))


model = Net()

# %%
# A tracker
# ---------
# It is told the layers by their names: "first" is what that layer puts out, "fc:input"
# what the last layer reads. With ``head="fc"`` the weights of the last layer are
# compared with the class means (NC3) and its decisions with those of the nearest mean
# (NC4). The loader has the training images, in any order. For Lightning and for Hugging
# Face's Trainer there are callbacks, for anything else ``update_moments``.
from sklearn_collapse.extraction import CollapseTracker

loader = DataLoader(TensorDataset(X_train, y_train), batch_size=650)
tracker = CollapseTracker(["first", "fc:input"], head="fc", metrics="all")


def loss_and_accuracy(X, y):
    model.eval()
    with torch.no_grad():
        logits = model(X)
    accuracy = (logits.argmax(1) == y).float().mean()
    return nn.functional.cross_entropy(logits, y), accuracy


def track(epoch):
    loss, accuracy = loss_and_accuracy(X_train, y_train)
    _, on_new = loss_and_accuracy(X_test, y_test)
    extra = {"loss": loss, "training accuracy": accuracy, "test accuracy": on_new}
    tracker(model, loader, epoch, extra=extra)


# %%
# Training
# --------
# With weight decay, as in the models for which collapse is proved. The network of the
# first epoch is kept for a picture.
import copy

n_epochs, often = 200, {1, 2, 3, 5, 8, 12}
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-3)
track(0)
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_epochs)
for epoch in range(1, n_epochs + 1):
    model.train()
    for rows in torch.randperm(len(X_train)).split(130):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X_train[rows]), y_train[rows])
        loss.backward()
        optimizer.step()
    schedule.step()
    if epoch in often or epoch % 20 == 0:
        track(epoch)
    if epoch == 1:
        young = copy.deepcopy(model)

# %%
# What happened
# -------------
# The numbers of the last layer's input, epoch by epoch. ``to_frame`` gives all of them
# to pandas, ``save`` writes them to a file from which ``load`` resumes.
names = ["nc1_pinv", "nc2_equinorm", "nc2_equiangularity", "nc3_self_duality"]
names += ["nc4_agreement"]
print("epoch  " + "  ".join(names) + "  training  test")
for record in tracker.to_records():
    if record["layer"] == "fc:input":
        values = "  ".join(f"{record[name]:{len(name)}.4f}" for name in names)
        accuracy = f"{record['training accuracy']:8.3f}  {record['test accuracy']:.3f}"
        print(f"{record['epoch']:5d}  {values}  {accuracy}")

# %%
# All training digits are right after some eight epochs. Much of the collapse comes
# later: from there on variability within classes (NC1) falls to less than a tenth, the
# cosines between the means come to a third of their spread, and the last layer to a
# quarter of its distance from the means (NC3). The untrained network's NC1 is more than
# a hundred times that of the end. Head and nearest mean soon agree on every image
# (NC4), and the means come to the same length, though not steadily.
#
# The first layer collapses less, and the accuracy on new digits gains little from all
# of it.
for layer in tracker.layers:
    first, last = (tracker.history_[epoch][layer] for epoch in (0, n_epochs))
    print(
        f"{layer:8s}  NC1 {first['nc1_pinv']:.3f} -> {last['nc1_pinv']:.3f}, "
        f"CDNV {first['cdnv']:.3f} -> {last['cdnv']:.3f}"
    )

# %%
# The same as a picture, a panel for each number.
import matplotlib.pyplot as plt

tracker.plot(
    [
        "nc1_pinv",
        "cdnv",
        "nc2_equinorm",
        "nc2_equiangularity",
        "nc3_self_duality",
        "nc4_agreement",
        "loss",
        ["training accuracy", "test accuracy"],
    ]
)
plt.show()

# %%
# The means, first and last
# -------------------------
# Cosines between the centred means of the classes, the input of the last layer. After
# one epoch pairs such as 1 and 8, or 3 and 9, still point the same way. At the end all
# are near the cosine of the simplex, -1/9, the neutral grey.
from matplotlib.colors import CenteredNorm

from sklearn_collapse.extraction import stream_moments
from sklearn_collapse.plotting import ClassGeometryDisplay

fig, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
pairs = zip(axes, [young, model], ["after one epoch", "at the end"], strict=True)
for ax, network, name in pairs:
    moments = stream_moments(network, loader, "fc:input")["fc:input"]
    ClassGeometryDisplay.from_moments(
        moments, name=name, ax=ax, norm=CenteredNorm(-1 / 9, 0.6)
    )
plt.show()
